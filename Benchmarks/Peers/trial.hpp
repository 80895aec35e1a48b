// One trial: fresh queues in shared memory, fresh processes or threads on the
// other CPU, some messages to warm up, then messages that are timed. The leader
// is the calling process. It takes the times, and in a flow it is the receiver.
//
// A peer is a template Q<N> of a queue of messages of N bytes:
//   threads   whether it works between threads only
//   does      the kinds of trial that it can do (CAN_TRIP, CAN_FLOW, …)
//   Sender    made of the queue by each side that sends: send(message), flush()
//   Receiver  made by each side that receives: receive(message)
#pragma once
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include "probe.h"

enum Kind { TRIP_8, FLOW_8, FLOW_64, MANY_8, LARGE_1, LARGE_16, KINDS };
// OWN_CPUS: many senders only where each has a CPU of its own.
enum { CAN_TRIP = 1, CAN_FLOW = 2, CAN_MANY = 4, CAN_LARGE = 8, OWN_CPUS = 16 };

constexpr size_t MIB = 1 << 20;
constexpr int MANY_SENDERS = 4;

struct Order {
    size_t count;              // messages that are timed
    int cpu;                   // of the leader
    std::vector<int> others;   // of who follows, in turns

    size_t warm() const { return count / 8 + 1; }
};

template <size_t N> struct Message {
    uint64_t words[N / 8];
};

// What a bounded queue holds: few large messages, which nobody sends ahead.
template <size_t N> constexpr size_t CAPACITY = N <= 64 ? 1024 : 2;

[[noreturn]] static inline void die(const char *what) {
    perror(what);
    exit(1);
}

static inline void pin_to(int cpu) {
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0)
        die("sched_setaffinity");
}

static inline void *shared_map(size_t size) {
    void *place = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (place == MAP_FAILED)
        die("mmap");
    return place;
}

// An object in memory that forked processes share.
template <class T> class Shared {
    T *object;

  public:
    Shared() : object(new (shared_map(sizeof(T))) T()) {}
    ~Shared() {
        object->~T();
        munmap((void *)object, sizeof(T));
    }
    Shared(const Shared &) = delete;
    T *operator->() const { return object; }
};

struct Gate {
    uint64_t ready = 0, open = 0;
};

// Runs `lead` here and `follow(0)`, `follow(1)`, … beside it, from one start.
template <class Lead, class Follow>
double beside(bool threads, const Order &order, int followers, Lead lead,
              Follow follow) {
    Shared<Gate> gate;
    std::vector<std::thread> started;
    auto run = [&](int i) {
        pin_to(order.others[(size_t)i % order.others.size()]);
        __atomic_fetch_add(&gate->ready, 1, __ATOMIC_ACQ_REL);
        while (mproc_load_acquire(&gate->open) == 0)
            sched_yield();
        follow(i);
    };
    double result;
    int status, failed = 0;

    pin_to(order.cpu);
    for (int i = 0; i < followers; i++) {
        pid_t pid;
        if (threads) {
            started.emplace_back(run, i);
        } else if ((pid = fork()) == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            run(i);
            _exit(0);
        } else if (pid < 0) {
            die("fork");
        }
    }
    while (mproc_load_acquire(&gate->ready) != (uint64_t)followers)
        sched_yield();
    mproc_store_release(&gate->open, 1);
    result = lead();
    for (auto &thread : started)
        thread.join();
    for (int i = 0; !threads && i < followers; i++)
        failed |= wait(&status) < 0 || status != 0;
    if (failed)
        die("a follower failed");
    return result;
}

template <size_t N> void number(Message<N> &message, uint64_t n) {
    message.words[0] = n;
    message.words[N / 8 - 1] = n;
}

// Ends the program when a message is not the one that must come.
template <size_t N> void check(const Message<N> &message, uint64_t n) {
    if (message.words[0] != n || message.words[N / 8 - 1] != n)
        die("a message is wrong");
}

// Nanoseconds for a message of N bytes and its answer of 8.
template <template <size_t> class Q, size_t N> double trip(const Order &order) {
    struct Pair {
        Q<N> there;
        Q<8> back;
    };
    Shared<Pair> pair;
    const size_t all = order.warm() + order.count;
    auto follow = [&](int) {
        typename Q<N>::Receiver in(pair->there);
        typename Q<8>::Sender out(pair->back);
        auto message = std::make_unique<Message<N>>();
        for (size_t n = 0; n < all; n++) {
            in.receive(*message);
            check(*message, n);
            out.send(Message<8>{{message->words[0] + 1}});
        }
    };
    auto lead = [&] {
        typename Q<N>::Sender out(pair->there);
        typename Q<8>::Receiver in(pair->back);
        auto message = std::make_unique<Message<N>>();
        Message<8> answer;
        double begin = 0;
        for (size_t n = 0; n < all; n++) {
            if (n == order.warm())
                begin = now_ns();
            number(*message, n);
            out.send(*message);
            in.receive(answer);
            check(answer, n + 1);
        }
        return (now_ns() - begin) / (double)order.count;
    };
    return beside(Q<N>::threads, order, 1, lead, follow);
}

// Nanoseconds for a message that comes in, with so many senders.
template <template <size_t> class Q, size_t N>
double flow(const Order &order, int senders) {
    Shared<Q<N>> queue;
    const size_t each = (order.warm() + order.count) / (size_t)senders;
    auto follow = [&](int) {
        typename Q<N>::Sender out(*queue.operator->());
        Message<N> message{};
        for (size_t n = 0; n < each; n++) {
            number(message, n);
            out.send(message);
        }
        out.flush();
    };
    auto lead = [&] {
        typename Q<N>::Receiver in(*queue.operator->());
        Message<N> message;
        const size_t all = each * (size_t)senders;
        size_t sum = 0;
        double begin = 0, end;
        for (size_t n = 0; n < all; n++) {
            if (n == order.warm())
                begin = now_ns();
            in.receive(message);
            sum += message.words[0];
            check(message, senders == 1 ? n : message.words[0]);
        }
        end = now_ns();
        if (sum != all * (each - 1) / 2)
            die("messages are missing");
        return (end - begin) / (double)(all - order.warm());
    };
    return beside(Q<N>::threads, order, senders, lead, follow);
}

// NaN: the peer does not do that.
template <template <size_t> class Q> double trial(Kind kind, const Order &o) {
    constexpr unsigned does = Q<8>::does;

    if constexpr ((does & CAN_TRIP) != 0)
        if (kind == TRIP_8)
            return trip<Q, 8>(o);
    if constexpr ((does & CAN_FLOW) != 0)
        if (kind == FLOW_8 || kind == FLOW_64)
            return kind == FLOW_8 ? flow<Q, 8>(o, 1) : flow<Q, 64>(o, 1);
    if constexpr ((does & CAN_MANY) != 0)
        if (kind == MANY_8 &&
            ((does & OWN_CPUS) == 0 || o.others.size() >= MANY_SENDERS))
            return flow<Q, 8>(o, MANY_SENDERS);
    if constexpr ((does & CAN_LARGE) != 0)
        if (kind == LARGE_1 || kind == LARGE_16)
            return kind == LARGE_1 ? trip<Q, MIB>(o) : trip<Q, 16 * MIB>(o);
    return NAN;
}
