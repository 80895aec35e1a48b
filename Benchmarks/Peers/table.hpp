// What was measured, by the distance of the CPUs, and how it is printed.
#pragma once
#include <algorithm>
#include <map>
#include <string>

#include "trial.hpp"

struct Row {
    std::string name;
    const char *between; // processes or threads
    const char *sides;   // how many senders and receivers a queue may have
    const char *waits;
    const char *death;
    bool does[KINDS] = {};
};

struct Cell {
    std::vector<double> times, ratios;
};

// For one pair of CPUs at one distance.
struct Distance {
    std::vector<double> probes;
    std::map<size_t, Cell> cells; // by row * KINDS + kind
};

// Of trials that are told of.
constexpr size_t FEWEST = 3;

static inline double median(std::vector<double> values) {
    auto middle = values.begin() + (ptrdiff_t)(values.size() / 2);

    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

// The unit in which a kind is told: ns, M messages a second, GB/s.
static inline double told(Kind kind, double ns) {
    switch (kind) {
    case TRIP_8:
        return ns;
    case LARGE_1:
        return MIB / ns;
    case LARGE_16:
        return 16 * MIB / ns;
    default:
        return 1e3 / ns;
    }
}

static inline void print_number(double value, int width) {
    int digits = value < 0.995 ? 3 : value < 9.95 ? 2 : value < 99.5 ? 1 : 0;

    printf(" %*.*f", width, digits, value);
}

static inline void print_cell(Kind kind, const Cell &cell, bool does) {
    if (cell.times.size() < FEWEST) {
        printf(" %7s %7s", does ? "few" : "-", "");
        return;
    }
    print_number(told(kind, median(cell.times)), 7);
    print_number(median(cell.ratios), 7);
}

static inline void print_distance(const std::string &title,
                                  Distance &distance,
                                  const std::vector<Row> &rows) {
    static const char *const heads[KINDS] = {
        "8 B round trip", "8 B one way",   "64 B one way",
        "8 B, 4 senders", "1 MiB, answer", "16 MiB, answer"};
    static const char *const units[KINDS] = {"ns",  "M/s",  "M/s",
                                             "M/s", "GB/s", "GB/s"};

    size_t asked = 0, told_of = 0, least = SIZE_MAX, most = 0;

    for (auto &row : rows)
        asked += (size_t)std::count(row.does, row.does + KINDS, true);
    for (auto &[place, cell] : distance.cells) {
        told_of += cell.times.size() >= FEWEST;
        least = std::min(least, cell.times.size());
        most = std::max(most, cell.times.size());
    }
    printf("\n%s: %.0f ns (%zu to %zu trials each)\n", title.c_str(),
           median(distance.probes), least, most);
    if (2 * told_of < asked) {
        printf("%zu trials: too few for a table\n", distance.probes.size());
        return;
    }
    printf("%-34s %-9s %-4s %-6s %-7s", "", "between", "side", "waits",
           "death");
    for (auto head : heads)
        printf(" %15s", head);
    printf("\n%64s", "");
    for (auto unit : units)
        printf(" %7s %7s", unit, "x");
    printf("\n");
    for (size_t row = 0; row < rows.size(); row++) {
        const Row &r = rows[row];
        printf("%-34s %-9s %-4s %-6s %-7s", r.name.c_str(), r.between, r.sides,
               r.waits, r.death);
        for (int kind = 0; kind < KINDS; kind++)
            print_cell((Kind)kind, distance.cells[row * KINDS + (size_t)kind],
                       r.does[kind]);
        printf("\n");
    }
}

static inline void print_legend() {
    printf(R"(
Medians of trials that took turns. x: the time of one message (round trip, message and answer) as a multiple of the
cache-line round trip that was measured right before and after it; less is better. "-": the peer does not do that;
"few": fewer than three trials at this distance.
side     1:1 one sender and one receiver; n:m any number. Queues hold 1024 small messages or 2 large ones (a pipe
         1 MiB, a socket and a Connection what the kernel gives them; moodycamel rounds up to blocks).
waits    spins: takes the whole CPU while it waits. sleeps: in the kernel. both: spins for some microseconds first.
death    what the others see when a process is killed while it sends or receives. goes on: the other messages, whole,
         and the end of the stream when nobody is left. ends: the same, but a large message may be cut off. hangs:
         they may wait for ever, for a lock or a slot that the dead one held, or because nobody tells them. Threads
         die together.
The C and C++ peers copy bytes of a fixed size into memory that is there; a large message is copied in and out.
Ours and Python's take values: they encode, allocate and decode each.
)");
}
