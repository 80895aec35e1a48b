// The examples of docs/FromPython.md, run. `SnippetTests` sees to it that they are the same.

import Glibc
import Multiprocessing
import Testing

private func collatz(_ start: Int) -> Int {
  var (number, steps) = (start, 0)
  while number != 1 {
    number = number.isMultiple(of: 2) ? number / 2 : 3 * number + 1
    steps += 1
  }
  return steps
}

private func isPrime(_ number: Int) -> Bool {
  number > 1 && !(2..<number).contains { number.isMultiple(of: $0) }
}

@Suite("The page for readers who come from Python", .serialized, .timeLimit(.minutes(2)))
struct FromPythonTests {
  struct PrimeTable {
    var flags: [Bool]

    init(limit: Int) { flags = (0...limit).map(isPrime) }
  }

  struct Power: ProcessTask {
    var base: Int
    var exponent: Int

    func run() -> Int { (0..<exponent).reduce(1) { power, _ in power * base } }
  }

  @Test("one process and its result")
  func process() async throws {
    let child = try ChildProcess(7) { $0 * $0 }
    print(try await child.value)  // 49
    #expect(try await child.value == 49)
  }

  @Test("waiting for a process, and ending it")
  func waiting() async throws {
    let child = try ChildProcess(3_600) { seconds in while true { sleep(UInt32(seconds)) } }
    if await child.exitStatus(within: .milliseconds(100)) == nil { child.kill() }
    print(await child.exitStatus)  // was ended by SIGKILL
    #expect(await child.exitStatus == .signaled(.kill, coreDumped: false))
    #expect("\(await child.exitStatus)" == "was ended by SIGKILL")
  }

  @Test("a child with a large result ends before anybody takes it")
  func largeResult() async throws {
    let child = try ChildProcess(5_000_000) { Array(0..<$0) }
    #expect(await child.exitStatus == .exited(0))
    #expect(try await child.value.count == 5_000_000)
  }

  @Test("a pool, map and starmap")
  func maps() async throws {
    let areas = try await withProcessPool(workers: 4) { pool in
      let widths = try await pool.map(["one", "three"]) { $0.count }
      return try await pool.map(zip(widths, [2, 4])) { $0 * $1 }
    }
    print(areas)  // [6, 20]
    #expect(areas == [6, 20])
  }

  @Test("a body that captures is refused; arguments and tasks carry values")
  func captures() async throws {
    try await withPool { pool async throws in
      let base = Int.random(in: 2...9)

      do {
        _ = try await pool.map(0..<8) { $0 * base }
      } catch ProcessError.notTransferable(let failure) {
        print(failure)  // … it captures variables of the surrounding code … pass what it needs …
      }
      _ = try transferFailure(
        of: await #expect(throws: ProcessError.self) { try await pool.map(0..<8) { $0 * base } })

      let multiples = try await pool.map((0..<8).map { ($0, base) }) { $0 * $1 }
      let powers = try await pool.map((0..<8).map { Power(base: base, exponent: $0) })
      #expect(multiples == (0..<8).map { $0 * base })
      #expect(powers == (0..<8).map { Power(base: base, exponent: $0).run() })
      #expect(powers[0] == 1 && powers[3] == base * base * base)
    }
  }

  @Test("results as they come, of inputs without an end")
  func results() async throws {
    try await withPool { pool async throws in
      var primes: [Int] = []
      for try await prime in pool.results(of: 2..., body: { isPrime($0) ? $0 : nil }) {
        if let prime { primes.append(prime) }
        if primes.count == 100 { break }
      }
      #expect(primes.count == 100)
      #expect(primes.last == 541)
      try await until { pool.statistics.pending == 0 }
    }
  }

  @Test("submitted tasks, in the order in which they complete")
  func futures() async throws {
    try await withPool { pool async throws in
      var longest = 0
      let tasks = (1...1_000).map { pool.submit($0, body: collatz) }
      for await task in PoolTask.asCompleted(tasks) {
        longest = max(longest, try await task.value)
      }
      #expect(longest == 178)
    }
  }

  @Test("every result and every error, a crash among them")
  func outcomes() async throws {
    try await withPool { pool async throws in
      var quotients: [Int: Int] = [:]
      for await (index, result) in pool.outcomes(of: [5, 0, 2], body: { 10 / $0 }) {
        switch result {
        case .success(let quotient): quotients[index] = quotient
        case .failure(let error): print("input \(index): \(error)")  // input 1: … SIGILL …
        }
      }
      #expect(quotients == [0: 2, 2: 5])
      #expect(pool.statistics.crashed == 1)
    }
  }

  @Test("what each worker loads once")
  func workerState() async throws {
    var configuration = ProcessPool.Configuration()
    configuration.onWorkerStart = WorkerBody(1_000) { limit in
      WorkerState<PrimeTable>.set(PrimeTable(limit: limit))
    }
    let answers = try await withProcessPool(configuration: configuration) { pool in
      try await pool.map([7, 8, 997]) { number in
        WorkerState<PrimeTable>.withValue { $0.flags[number] }
      }
    }
    #expect(answers == [true, false, true])
  }

  @Test("a deadline that ends the work")
  func deadline() async throws {
    try await withPool { pool async throws in
      do {
        try await pool.run(3_600, timeout: .milliseconds(100)) { (seconds: Int) async throws in
          try await Task.sleep(for: .seconds(seconds))
        }
      } catch ProcessError.timedOut(let limit) {
        print("ended after \(limit)")
      }
      #expect(pool.statistics.failed == 1)
      #expect(pool.statistics.pending == 0)
    }
  }

  @Test("a crash costs one task, or nothing where it is tried again")
  func retry() async throws {
    let attempts = try SharedArray<Int32>(count: 1)
    let configuration = ProcessPool.Configuration { $0.retry = .afterCrash(max: 3) }
    let answer = try await withProcessPool(configuration: configuration) { pool in
      try await pool.run(attempts) { attempts in
        attempts[0] += 1
        if attempts[0] < 3 { kill(getpid(), SIGKILL) }
        return attempts[0]
      }
    }
    #expect(answer == 3)
  }

  @Test("a queue that is joined")
  func queue() async throws {
    let queue = try SharedQueue<Int>(capacity: 8)
    let worker = try ChildProcess(queue.receiver) { queue in
      while let number = try queue.receive() {
        print(number * number)
        queue.markDone()
      }
    }
    for number in 0..<100 { try await queue.send(number) }
    try await queue.join()
    #expect(queue.count == 0)
    queue.finish()
    try await worker.value
  }

  @Test("workers that fill one array")
  func sharedArray() async throws {
    try await withPool { pool async throws in
      let numbers = try SharedArray<Double>(count: 1_000_000)
      try await pool.forEach(numbers.chunks(8)) { part in
        for index in part.indices { part[index] = 0.5 }
      }
      print(Array(numbers).reduce(0, +))  // 500000.0
      #expect(Array(numbers).reduce(0, +) == 500_000)
    }
  }
}
