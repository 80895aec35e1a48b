// Connection and SharedQueue beside what others use between processes and
// threads, in one run: the trials of all take turns, and each is bracketed by
// probes of the cache-line round trip (probe.h), of which it is a multiple.
//
//     peers [--rounds N] [--cpus A,B] [--only PART-OF-A-NAME] [--ours MICRO]
//           [--patience SECONDS]    how long to wait, in all, for a machine on
//                                   which nobody else runs; 0: do not look
#include <functional>

#include "transports.hpp"

#include "program.hpp"
#include "table.hpp"

namespace {

constexpr double TRIAL_NS = 20e6;

struct Peer {
    Row row;
    std::function<double(Kind, const Order &)> measure;
    size_t counts[KINDS] = {};
};

struct Options {
    size_t rounds = 15;
    double patience = 120;
    std::vector<int> cpus;
    std::string only, ours;
};

// MARK: - Peers

std::vector<std::string> left_out;

template <template <size_t> class Q>
void add(std::vector<Peer> &peers, Row row) {
    peers.push_back({row, trial<Q>});
}

void leave_out(const std::string &what, const std::string &lack) {
    left_out.push_back(what + ": " + lack);
}

constexpr const char *P = "processes", *T = "threads";

// The C and C++ peers; what spins comes first.
void add_built_in(std::vector<Peer> &peers) {
#ifdef HAS_BOOST
    add<BoostRing>(
        peers, {"boost lockfree spsc_queue", P, "1:1", "spins", "hangs"});
#else
    leave_out("boost", "install libboost-dev");
#endif
#ifdef HAS_DPDK
    add<DpdkSingle>(
        peers, {"DPDK rte_ring SP/SC", P, "1:1", "spins", "hangs"});
    add<DpdkBursts>(
        peers, {"DPDK rte_ring SP/SC, 32 at once", P, "1:1", "spins", "hangs"});
    add<DpdkMulti>(
        peers, {"DPDK rte_ring MP/MC", P, "n:m", "spins", "hangs"});
    add<DpdkRelaxed>(
        peers, {"DPDK rte_ring MP/MC, RTS", P, "n:m", "spins", "hangs"});
#else
    leave_out("DPDK", "install libdpdk-dev");
#endif
#ifdef HAS_READER_WRITER
    add<ReaderWriter>(
        peers, {"moodycamel ReaderWriterQueue", T, "1:1", "spins", ""});
    add<BlockingReaderWriter>(
        peers, {"moodycamel Blocking…CircularBuffer", T, "1:1", "both", ""});
#else
    leave_out("moodycamel::ReaderWriterQueue",
              "install libreaderwriterqueue-dev");
#endif
#ifdef HAS_CONCURRENT
    add<Concurrent>(
        peers, {"moodycamel ConcurrentQueue", T, "n:m", "spins", ""});
    add<BlockingConcurrent>(
        peers, {"moodycamel BlockingConcurrentQueue", T, "n:m", "both", ""});
#else
    leave_out("moodycamel::ConcurrentQueue", "install libconcurrentqueue-dev");
#endif
#ifdef HAS_BOOST
    add<BoostMessages>(peers, {"boost interprocess message_queue", P, "n:m",
                               "sleeps", "hangs"});
#endif
    add<Pipe>(peers, {"pipe, bare bytes", P, "n:m", "sleeps", "ends"});
    add<Socket>(peers, {"socket, SEQPACKET, bare bytes", P, "n:m", "sleeps",
                        "goes on"});
}

void add_program(std::vector<Peer> &peers, std::vector<std::string> words,
                 std::vector<std::pair<std::string, Row>> rows,
                 const char *lack) {
    auto program = std::make_shared<Program>(words);

    if (!program->answers_at_all()) {
        leave_out(rows[0].second.name, lack);
        return;
    }
    for (auto &[name, row] : rows) {
        std::string word = name;
        auto ask = [program, word](Kind kind, const Order &order) {
            return program->ask(word, kind, order);
        };
        peers.push_back({row, ask, {}});
    }
}

std::vector<Peer> all_peers(const Options &options, const char *self) {
    std::vector<Peer> peers;
    std::string folder = self;

    folder = folder.substr(0, folder.rfind('/') + 1);
    add_built_in(peers);
    add_program(peers, {"python3", folder + "../contender.py"},
                {{"pipe", {"Python Pipe", P, "1:1", "sleeps", "ends"}},
                 {"queue", {"Python Queue", P, "n:m", "sleeps", "hangs"}}},
                "install python3");
    add_program(
        peers, {options.ours, "contend"},
        {{"connection", {"Connection", P, "n:m", "both", "goes on"}},
         {"queue", {"SharedQueue", P, "n:m", "both", "goes on"}}},
        "say --ours, as `make peers` does");
    return peers;
}

// MARK: - CPUs

// The round trip between two CPUs, now.
double probe(int cpu, int other) {
    Shared<struct probe> lines;
    uint64_t trips = 0;

    return beside(
        false, {0, cpu, {other}}, 1,
        [&] { return probe_lead(lines.operator->(), &trips); },
        [&](int) { probe_follow(lines.operator->(), &trips); });
}

std::vector<int> allowed_cpus() {
    static cpu_set_t set[16]; // 16,384 CPUs
    std::vector<int> cpus;

    if (sched_getaffinity(0, sizeof set, set) != 0)
        die("sched_getaffinity");
    for (int cpu = 0; cpu < 16 * CPU_SETSIZE; cpu++)
        if (CPU_ISSET_S((size_t)cpu, sizeof set, set))
            cpus.push_back(cpu);
    if (cpus.size() < 2) {
        fprintf(stderr, "peers: two CPUs are needed\n");
        exit(1);
    }
    return cpus;
}

// The nearest and the farthest CPU from the first one, by their round trips:
// one order each, with the CPUs of further senders behind.
std::vector<Order> pairs(const Options &options) {
    std::vector<int> cpus = allowed_cpus(), others;
    std::map<double, int> by_distance;
    std::vector<Order> orders;

    if (options.cpus.size() >= 2)
        return {{0, options.cpus[0],
                 {options.cpus.begin() + 1, options.cpus.end()}}};
    for (size_t i = 1; i < cpus.size(); i++)
        by_distance[probe(cpus[0], cpus[i])] = cpus[i];
    for (auto &[ns, cpu] : by_distance)
        others.push_back(cpu);
    orders.push_back({0, cpus[0], others});
    if (by_distance.rbegin()->first > 1.5 * by_distance.begin()->first &&
        others.size() > 1) {
        std::reverse(others.begin(), others.end());
        orders.push_back({0, cpus[0], others});
    }
    for (auto &order : orders)
        order.others.resize(std::min<size_t>(MANY_SENDERS, others.size()));
    return orders;
}

// MARK: - Others

std::string first_line(const char *path, const char *key) {
    FILE *file = fopen(path, "r");
    char line[512];
    std::string found;

    while (file != nullptr && found.empty() &&
           fgets(line, sizeof line, file) != nullptr)
        if (strncmp(line, key, strlen(key)) == 0)
            found = std::string(line, strcspn(line, "\n"));
    if (file != nullptr)
        fclose(file);
    size_t colon = found.find(": ");
    return colon == std::string::npos ? found : found.substr(colon + 2);
}

// Whether two CPUs are left over by what else runs on this machine, now or in
// some milliseconds: who has just ended its part of a trial may run still.
bool is_quiet() {
    const long spare = sysconf(_SC_NPROCESSORS_ONLN) - 2;

    for (int tries = 0; tries < 5; tries++) {
        std::string line = first_line("/proc/stat", "procs_running ");
        if (line.empty() || std::stol(line.substr(14)) - 1 <= spare)
            return true;
        usleep(1000);
    }
    return false;
}

// Waits until it is quiet; false when the patience has come to its end.
bool await_quiet(double &patience) {
    const double begin = now_ns();
    double waited = 0;

    while (!is_quiet() && waited < patience) {
        usleep(20000);
        waited = (now_ns() - begin) * 1e-9;
    }
    patience -= waited;
    return patience > 0;
}

// MARK: - Running

size_t disturbed; // trials that do not count

using Results = std::map<std::pair<size_t, int>, Distance>;

// A peer that hangs ends the run.
double measure_once(Peer &peer, Kind kind, const Order &order) {
    double ns;

    alarm(120);
    ns = peer.measure(kind, order);
    alarm(0);
    return ns;
}

// Messages for a trial that is long against its start and short against the
// time between two moves of a virtual CPU.
size_t count_for(Peer &peer, Kind kind, Order order) {
    static const size_t least[KINDS] = {200, 10000, 10000, 10000, 8, 3};

    order.count = least[kind];
    double ns = measure_once(peer, kind, order);
    if (std::isnan(ns))
        return 0;
    return std::clamp((size_t)(TRIAL_NS / ns), least[kind], (size_t)4000000);
}

void measure(Peer &peer, Kind kind, Order order, size_t pair, size_t row,
             bool must_be_quiet, Results &results) {
    double before, ns, after;
    int level;

    order.count = peer.counts[kind];
    before = probe(order.cpu, order.others[0]);
    ns = measure_once(peer, kind, order);
    after = probe(order.cpu, order.others[0]);
    level = level_of(before, after);
    if (level < 0 || (must_be_quiet && !is_quiet())) {
        disturbed++;
        return;
    }
    Distance &distance = results[{pair, level}];
    Cell &cell = distance.cells[row * KINDS + kind];
    distance.probes.push_back((before + after) / 2);
    cell.times.push_back(ns);
    cell.ratios.push_back(ns / ((before + after) / 2));
}

// All trials of one round; false when it was ended before.
bool run_round(std::vector<Peer> &peers, const std::vector<Order> &orders,
               Options &options, bool must_be_quiet, Results &results) {
    for (size_t pair = 0; pair < orders.size(); pair++)
        for (size_t row = 0; row < peers.size(); row++)
            for (int kind = 0; kind < KINDS; kind++) {
                if (peers[row].counts[kind] == 0)
                    continue;
                if (must_be_quiet && !await_quiet(options.patience))
                    return false;
                measure(peers[row], (Kind)kind, orders[pair], pair, row,
                        must_be_quiet, results);
            }
    return true;
}

Results run(std::vector<Peer> &peers, const std::vector<Order> &orders,
            Options &options) {
    const bool must_be_quiet = options.patience > 0;
    Results results;

    for (auto &peer : peers)
        for (int kind = 0; kind < KINDS; kind++) {
            peer.counts[kind] = count_for(peer, (Kind)kind, orders[0]);
            peer.row.does[kind] = peer.counts[kind] > 0;
        }
    for (size_t round = 0; round < options.rounds; round++) {
        fprintf(stderr, "\rround %zu of %zu ", round + 1, options.rounds);
        if (!run_round(peers, orders, options, must_be_quiet, results)) {
            fprintf(stderr, "\nothers run all the time: ended early; "
                            "--patience 0 measures in any case");
            break;
        }
    }
    fputc('\n', stderr);
    return results;
}

// MARK: - Telling

std::string list(const std::vector<int> &cpus) {
    std::string text;

    for (int cpu : cpus)
        text += (text.empty() ? "" : ", ") + std::to_string(cpu);
    return text;
}

void print(const Results &results, const std::vector<Order> &orders,
           const std::vector<Peer> &peers) {
    std::vector<Row> rows;

    for (auto &peer : peers)
        rows.push_back(peer.row);
    for (auto [key, distance] : results) {
        const Order &order = orders[key.first];
        print_distance("CPUs " + std::to_string(order.cpu) + " and " +
                           std::to_string(order.others[0]) + " (4 senders: " +
                           list(order.others) + "), " +
                           (key.second == 0 ? "near" : "far") +
                           ", cache-line round trip",
                       distance, rows);
    }
    if (orders.size() == 1)
        printf("\nThere is one pair of CPUs here, or all are equally far.\n");
    print_legend();
    for (auto &line : left_out)
        printf("left out, %s\n", line.c_str());
}

Options parse(int argc, char **argv) {
    Options options;

    for (int i = 1; i + 1 < argc; i += 2) {
        std::string name = argv[i], value = argv[i + 1];
        if (name == "--rounds")
            options.rounds = std::stoul(value);
        else if (name == "--patience")
            options.patience = std::stod(value);
        else if (name == "--only")
            options.only = value;
        else if (name == "--ours")
            options.ours = value;
        else if (name == "--cpus")
            for (char *next = argv[i + 1]; *next != 0; next += *next == ',')
                options.cpus.push_back((int)strtol(next, &next, 10));
    }
    return options;
}

} // namespace

int main(int argc, char **argv) {
    Options options = parse(argc, argv);
    std::string load = first_line("/proc/loadavg", "");
    size_t cpu_count = allowed_cpus().size(); // before this pins itself
    std::vector<Order> orders = pairs(options);
    std::vector<Peer> peers = all_peers(options, argv[0]);
    Results results;
    double begin = now_ns();

    peers.erase(std::remove_if(peers.begin(), peers.end(),
                               [&](const Peer &peer) {
                                   return peer.row.name.find(options.only) ==
                                          std::string::npos;
                               }),
                peers.end());
    results = run(peers, orders, options);
    printf("%s, %zu CPUs allowed\n",
           first_line("/proc/cpuinfo", "model name").c_str(), cpu_count);
    print(results, orders, peers);
    printf("%.0f s; load before: %s; disturbed trials, which do not count: "
           "%zu\n", (now_ns() - begin) * 1e-9, load.c_str(), disturbed);
    return 0;
}
