// Producers and consumers with a queue between them: two processes write lines of text, a pool's workers count their
// words, and one of the workers dies on the way, which costs the line in its hand and nothing else.

import Glibc
import Multiprocessing

@main
enum WordCountPipeline {
  static let linesPerProducer = 1_000

  static func main() async throws {
    // Room for 64 lines: who writes faster than the others count waits.
    let lines = try SharedQueue<String>(capacity: 64)
    let words = try SharedAtomic(0)
    let counted = try SharedAtomic(0)

    var producers: [ChildProcess<Void>] = []
    for producer in 1...2 {
      producers.append(
        try ChildProcess(lines.sender, producer, linesPerProducer) { lines, producer, count in
          for number in 1...count { try lines.send("line \(number) of producer \(producer)") }
        })
    }

    try await withProcessPool(workers: 2) { pool in
      let receiver = lines.receiver
      // A consumer that takes one line and dies.
      let dying = pool.submit(receiver) { receiver in
        _ = try receiver.receive()
        kill(getpid(), SIGKILL)
      }
      if case .failure(ProcessError.crashed(let report)) = await dying.result {
        print("a consumer died: \(report.exitStatus)")
      }
      let consumers = (0..<2).map { _ in
        pool.submit(receiver, words, counted) { receiver, words, counted in
          // Until the queue is finished and empty.
          while let line = try receiver.receive() {
            words.add(line.split(separator: " ").count)
            counted.add(1)
          }
        }
      }
      for producer in producers { try await producer.value }
      lines.finish()
      for consumer in consumers { try await consumer.value }
    }
    print("\(counted.load()) of \(2 * linesPerProducer) lines counted, \(words.load()) words")
  }
}
