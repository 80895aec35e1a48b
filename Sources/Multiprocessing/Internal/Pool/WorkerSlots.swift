// The places of a pool's workers.

internal import ProcessorTopology

/// Which workers there are, by index, and which are missing.
struct WorkerSlots {
  struct Slot {
    var channel: WorkerChannel?
    /// What the placement gives the worker; empty: it is not bound.
    var cpus: CPUSet
    var isStarting = false
  }

  /// Those behind the wanted ones hold workers that leave.
  private var slots: [Slot]
  /// The size of the pool.
  private(set) var wanted: Int
  /// Starting has failed: nothing is started for a while.
  var isHeldBack = false
  /// By index, what those did that have ended.
  private(set) var past: [ProcessPool.Statistics.Worker] = []

  init(_ plan: [CPUSet]) {
    slots = plan.map { Slot(cpus: $0) }
    wanted = plan.count
  }

  // MARK: - Looking

  var channels: [WorkerChannel] { slots.compactMap(\.channel) }

  var wantedSlots: [Slot] { Array(slots[..<wanted]) }

  func channel(_ index: Int) -> WorkerChannel? {
    index < slots.count ? slots[index].channel : nil
  }

  func cpus(_ index: Int) -> CPUSet { slots[index].cpus }

  /// Calls `body` on each worker, without an array.
  func forEach(_ body: (WorkerChannel) -> Void) {
    for slot in slots { if let channel = slot.channel { body(channel) } }
  }

  /// Whose workers take tasks.
  var readyIndices: [Int] { slots.indices.filter { slots[$0].channel?.isLive == true } }

  // MARK: - Filling and emptying

  /// Up to `limit` places without a worker, which the caller is to start.
  mutating func claimEmpty(_ limit: Int) -> [Int] {
    var claimed: [Int] = []
    if isHeldBack { return [] }
    for index in 0..<wanted where claimed.count < limit {
      guard slots[index].channel == nil, !slots[index].isStarting else { continue }
      slots[index].isStarting = true
      claimed.append(index)
    }
    return claimed
  }

  /// False when the place has gone meanwhile.
  mutating func isStillWanted(_ index: Int) -> Bool {
    if index < wanted { return true }
    if index < slots.count { slots[index].isStarting = false }
    trim()
    return false
  }

  mutating func put(_ channel: WorkerChannel) {
    slots[channel.index].channel = channel
    slots[channel.index].isStarting = false
  }

  mutating func giveUpStarting(_ index: Int) {
    if index < slots.count { slots[index].isStarting = false }
  }

  /// - Parameter activity: All that it did.
  mutating func remove(_ channel: WorkerChannel, _ activity: ProcessPool.Statistics.Worker) {
    while past.count <= channel.index { past.append(.init(id: past.count)) }
    past[channel.index].add(activity)
    guard slots[channel.index].channel === channel else { return }
    slots[channel.index].channel = nil
    trim()
  }

  // MARK: - The size

  /// Changes the size; the workers that are to leave.
  ///
  /// Workers that stay keep their CPUs. New ones get what the plan for the new size has and no other worker
  /// holds.
  mutating func resize(_ plan: [CPUSet]) -> [WorkerChannel] {
    var free = plan
    for slot in slots[..<min(wanted, plan.count)] {
      if let used = free.firstIndex(of: slot.cpus) { free.remove(at: used) }
    }
    for index in 0..<max(0, plan.count - wanted) {
      let cpus = free.isEmpty ? plan[wanted + index] : free.removeFirst()
      if wanted + index < slots.count, slots[wanted + index].channel != nil {
        continue  // One that leaves: its place is filled when it has.
      }
      if wanted + index < slots.count {
        slots[wanted + index].cpus = cpus
      } else {
        slots.append(Slot(cpus: cpus))
      }
    }
    wanted = plan.count
    let leaving = slots[wanted...].compactMap(\.channel)
    trim()
    return leaving
  }

  private mutating func trim() {
    while slots.count > wanted, let last = slots.last, last.channel == nil, !last.isStarting {
      slots.removeLast()
    }
  }
}
