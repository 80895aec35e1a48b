// The peers that are C and C++: each is left out where its header is not
// installed. trial.hpp says what each has to offer.
#pragma once
#include <fcntl.h>
#include <sys/socket.h>

#include <string>

#include "trial.hpp"

constexpr unsigned ONE_TO_ONE = CAN_TRIP | CAN_FLOW;
constexpr unsigned MANY_TO_MANY = ONE_TO_ONE | CAN_MANY;

// An end of a queue that needs no state of its own.
template <class Q> struct End {
    Q &queue;

    explicit End(Q &q) : queue(q) {}
    template <class M> void send(const M &message) { queue.send(message); }
    template <class M> void receive(M &message) { queue.receive(message); }
    void flush() {}
};

// MARK: - Boost

#if __has_include(<boost/lockfree/spsc_queue.hpp>)
#define HAS_BOOST 1
#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>

template <size_t N> struct BoostRing {
    static constexpr bool threads = false;
    static constexpr unsigned does = ONE_TO_ONE | CAN_LARGE;
    using Sender = End<BoostRing>;
    using Receiver = End<BoostRing>;
    boost::lockfree::spsc_queue<Message<N>,
                                boost::lockfree::capacity<CAPACITY<N>>>
        ring;

    void send(const Message<N> &message) {
        while (!ring.push(message))
            ;
    }
    void receive(Message<N> &message) {
        while (!ring.pop(message))
            ;
    }
};

template <size_t N> struct BoostMessages {
    static constexpr bool threads = false;
    static constexpr unsigned does = MANY_TO_MANY | CAN_LARGE;
    using Sender = End<BoostMessages>;
    using Receiver = End<BoostMessages>;
    using Queue = boost::interprocess::message_queue;
    std::string name;
    std::unique_ptr<Queue> queue;

    BoostMessages() {
        static int made;
        name = "peers-" + std::to_string(getpid()) + "-" +
               std::to_string(made++);
        queue = std::make_unique<Queue>(boost::interprocess::create_only,
                                        name.c_str(), CAPACITY<N>, N);
        Queue::remove(name.c_str());
    }
    void send(const Message<N> &message) { queue->send(&message, N, 0); }
    void receive(Message<N> &message) {
        Queue::size_type size;
        unsigned priority;
        queue->receive(&message, N, size, priority);
    }
};
#endif

// MARK: - DPDK's ring, in plain shared memory

#if __has_include(<rte_ring.h>)
#define HAS_DPDK 1
#include <rte_ring.h>
#include <rte_ring_elem.h>

constexpr unsigned ONE_ONE = RING_F_SP_ENQ | RING_F_SC_DEQ;
constexpr unsigned RELAXED = RING_F_MP_RTS_ENQ | RING_F_MC_RTS_DEQ;

// FLAGS 0, its default for many senders: one that is preempted between its two
// steps stops the others, and four of them on one CPU come to a few messages a
// time slice.
template <size_t N, unsigned FLAGS> struct DpdkRing {
    static constexpr bool threads = false;
    static constexpr unsigned does =
        CAN_LARGE | (FLAGS == ONE_ONE ? ONE_TO_ONE : MANY_TO_MANY) |
        (FLAGS == 0 ? (unsigned)OWN_CPUS : 0u);
    using Sender = End<DpdkRing>;
    using Receiver = End<DpdkRing>;
    static constexpr unsigned size = 2 * CAPACITY<N>; // one stays free
    rte_ring *ring;
    size_t bytes;

    DpdkRing() {
        bytes = (size_t)rte_ring_get_memsize_elem(N, size);
        ring = (rte_ring *)shared_map(bytes);
        if (rte_ring_init(ring, "peers", CAPACITY<N>,
                          FLAGS | RING_F_EXACT_SZ) != 0)
            die("rte_ring_init");
    }
    ~DpdkRing() { munmap((void *)ring, bytes); }
    void send(const Message<N> &message) {
        while (rte_ring_enqueue_elem(ring, (void *)&message, N) != 0)
            ;
    }
    void receive(Message<N> &message) {
        while (rte_ring_dequeue_elem(ring, &message, N) != 0)
            ;
    }
};
template <size_t N> struct DpdkSingle : DpdkRing<N, ONE_ONE> {};
template <size_t N> struct DpdkMulti : DpdkRing<N, 0> {};
template <size_t N> struct DpdkRelaxed : DpdkRing<N, RELAXED> {};

// In bursts of 32, for which it is made.
template <size_t N> struct DpdkBursts : DpdkRing<N, ONE_ONE> {
    static constexpr unsigned does = CAN_FLOW, BURST = 32;

    struct Sender {
        rte_ring *ring;
        unsigned held = 0;
        Message<N> burst[BURST];

        explicit Sender(DpdkBursts &queue) : ring(queue.ring) {}
        void send(const Message<N> &message) {
            burst[held++] = message;
            if (held == BURST)
                flush();
        }
        void flush() {
            for (unsigned sent = 0; sent < held;)
                sent += rte_ring_enqueue_burst_elem(ring, burst + sent, N,
                                                    held - sent, nullptr);
            held = 0;
        }
    };
    struct Receiver {
        rte_ring *ring;
        unsigned held = 0, next = 0;
        Message<N> burst[BURST];

        explicit Receiver(DpdkBursts &queue) : ring(queue.ring) {}
        void receive(Message<N> &message) {
            for (; next == held; next = 0)
                held = rte_ring_dequeue_burst_elem(ring, burst, N, BURST,
                                                   nullptr);
            message = burst[next++];
        }
    };
};
#endif

// MARK: - moodycamel's queues, between threads: they grow on the heap

#if __has_include(<readerwriterqueue/readerwriterqueue.h>)
#define HAS_READER_WRITER 1
#include <readerwriterqueue/readerwritercircularbuffer.h>
#include <readerwriterqueue/readerwriterqueue.h>

template <size_t N> struct ReaderWriter {
    static constexpr bool threads = true;
    static constexpr unsigned does = ONE_TO_ONE;
    using Sender = End<ReaderWriter>;
    using Receiver = End<ReaderWriter>;
    moodycamel::ReaderWriterQueue<Message<N>> queue{CAPACITY<N>};

    void send(const Message<N> &message) {
        while (!queue.try_enqueue(message))
            ;
    }
    void receive(Message<N> &message) {
        while (!queue.try_dequeue(message))
            ;
    }
};

template <size_t N> struct BlockingReaderWriter {
    static constexpr bool threads = true;
    static constexpr unsigned does = ONE_TO_ONE;
    using Sender = End<BlockingReaderWriter>;
    using Receiver = End<BlockingReaderWriter>;
    moodycamel::BlockingReaderWriterCircularBuffer<Message<N>> queue{
        CAPACITY<N>};

    void send(const Message<N> &message) { queue.wait_enqueue(message); }
    void receive(Message<N> &message) { queue.wait_dequeue(message); }
};
#endif

#if __has_include(<concurrentqueue/concurrentqueue.h>)
#define HAS_CONCURRENT 1
#include <concurrentqueue/blockingconcurrentqueue.h>
#include <concurrentqueue/concurrentqueue.h>

// With tokens, the fastest way. The queue grows without bound, so a sender
// looks now and then whether there is enough in it. (Its bounded form does not
// serve several senders: the first one keeps all blocks, the others wait for
// ever.)
template <size_t N, class Q, bool BLOCKS> struct ConcurrentBase {
    static constexpr bool threads = true;
    static constexpr unsigned does = MANY_TO_MANY;
    Q queue{CAPACITY<N>, MANY_SENDERS, 0};

    struct Sender {
        Q &queue;
        moodycamel::ProducerToken token;
        unsigned sent = 0;

        explicit Sender(ConcurrentBase &base)
            : queue(base.queue), token(base.queue) {}
        void send(const Message<N> &message) {
            queue.enqueue(token, message);
            if (++sent % 128 == 0)
                while (queue.size_approx() > CAPACITY<N>)
                    if constexpr (BLOCKS)
                        sched_yield();
        }
        void flush() {}
    };
    struct Receiver {
        Q &queue;
        moodycamel::ConsumerToken token;

        explicit Receiver(ConcurrentBase &base)
            : queue(base.queue), token(base.queue) {}
        void receive(Message<N> &message) {
            if constexpr (BLOCKS)
                queue.wait_dequeue(token, message);
            else
                while (!queue.try_dequeue(token, message))
                    ;
        }
    };
};
template <size_t N>
struct Concurrent
    : ConcurrentBase<N, moodycamel::ConcurrentQueue<Message<N>>, false> {};
template <size_t N>
struct BlockingConcurrent
    : ConcurrentBase<N, moodycamel::BlockingConcurrentQueue<Message<N>>, true> {
};
#endif

// MARK: - The kernel's

// Bare bytes through a pair of descriptors; the kernel keeps 8 and 64 bytes
// whole, so that many may write.
template <size_t N, bool SOCKET> struct Kernel {
    static constexpr bool threads = false;
    static constexpr unsigned does =
        MANY_TO_MANY | (SOCKET ? 0u : (unsigned)CAN_LARGE);
    using Sender = End<Kernel>;
    using Receiver = End<Kernel>;
    int ends[2]; // to read, to write

    Kernel() {
        if ((SOCKET ? socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends)
                    : pipe(ends)) != 0)
            die("pipe");
        if (!SOCKET)
            fcntl(ends[1], F_SETPIPE_SZ, MIB);
    }
    ~Kernel() {
        close(ends[0]);
        close(ends[1]);
    }
    void send(const Message<N> &message) {
        for (size_t done = 0; done < N;)
            done += counted(write(ends[1], (char *)&message + done, N - done));
    }
    void receive(Message<N> &message) {
        for (size_t done = 0; done < N;)
            done += counted(read(ends[0], (char *)&message + done, N - done));
    }
    static size_t counted(ssize_t result) {
        if (result <= 0)
            die("pipe");
        return (size_t)result;
    }
};
template <size_t N> struct Pipe : Kernel<N, false> {};
template <size_t N> struct Socket : Kernel<N, true> {};
