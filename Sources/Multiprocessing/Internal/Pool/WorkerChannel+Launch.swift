// Starting a worker: its segments, its arenas, its process.

internal import CMultiprocessing
internal import SystemPackage

extension WorkerChannel {
  /// A worker that has been started and sets itself up.
  struct Launched {
    let channel: WorkerChannel
    let process: LaunchedProcess
  }

  static func launch(_ index: Int, _ cpus: CPUSet?, _ pool: PoolCore) throws(ProcessError)
    -> Launched
  {
    let options = pool.configuration.processOptions
    let label = pool.configuration.forwardsOutput ? "\(pool.workerName(index)): " : nil
    let standardOutput = try ChildStream.standardOutput(ofWorker: options.standardOutput, label)
    let standardError = try ChildStream.standardError(ofWorker: options.standardError, label)
    // Before anything touches it. Both sides' memory: the worker is the one that does most with it.
    let node = MemoryBinding.node(of: cpus, pool.topology)
    let submissions = try check(
      MemoryBinding.createPreferred(on: node) { mproc_segment_create(Sizes.ring, 0, $0) },
      "a worker's shared memory")
    defer { _ = mproc_close(submissions) }
    let completions = try check(
      MemoryBinding.createPreferred(on: node) { mproc_segment_create(Sizes.ring, 0, $0) },
      "a worker's shared memory")
    defer { _ = mproc_close(completions) }
    let argumentArena = try check(
      MemoryBinding.createPreferred(on: node) { mproc_arena_create(Sizes.arena, $0) },
      "a worker's shared memory")
    let resultArena = MemoryBinding.createPreferred(on: node) {
      mproc_arena_create(Sizes.arena, $0)
    }
    if resultArena < 0 { _ = mproc_close(argumentArena) }
    try check(resultArena, "a worker's shared memory")
    let argumentReader = mproc_arena_reader(argumentArena)
    let resultReader = mproc_arena_reader(resultArena)
    defer {
      if argumentReader >= 0 { _ = mproc_close(argumentReader) }
      _ = mproc_close(resultArena)
    }
    var own = unsafe mproc_segment()
    var peer = unsafe mproc_segment()
    var arguments: OpaquePointer?
    var results: OpaquePointer?
    let openedArguments = unsafe mproc_arena_open(argumentArena, 1, &arguments)
    let openedResults = unsafe mproc_arena_open(resultReader, 0, &results)
    let mappedOwn = unsafe mproc_segment_map(submissions, Int32(MPROC_SEGMENT_WRITABLE), &own)
    let mappedPeer = unsafe mproc_segment_map(completions, 0, &peer)
    guard openedArguments == 0, openedResults == 0, mappedOwn == 0, mappedPeer == 0,
      argumentReader >= 0, let arguments = unsafe arguments, let results = unsafe results
    else {
      unsafe mproc_segment_unmap(&own)
      unsafe mproc_segment_unmap(&peer)
      unsafe mproc_arena_close(arguments)
      unsafe mproc_arena_close(results)
      // The first is the cause: a reader that there is not cannot be opened either.
      let results: [Int32] = [
        argumentReader, resultReader, openedArguments, openedResults, mappedOwn, mappedPeer,
      ]
      let error = results.first { $0 < 0 } ?? 0
      throw .startFailed(
        Errno(rawValue: CInt(-error)), operation: "mapping a worker's shared memory")
    }
    _ = mproc_segment_seal(submissions)
    let channel = unsafe WorkerChannel(
      index, cpus, pool, own, peer, arguments, results, CrashWitness(standardError.speech))
    var request = pool.startRequest(index, cpus)
    request.standardOutput = standardOutput.childEnd
    request.standardError = standardError.childEnd
    request.submissions = submissions
    request.completions = completions
    request.argumentArena = argumentReader
    request.resultArena = resultArena
    return Launched(channel: channel, process: try ManagedProcess.launch(request, pool.environment))
  }
}
