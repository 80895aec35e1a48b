// `mproc run`: copies of a command, each bound to its CPUs.

internal import ArgumentParser
internal import Glibc
internal import ProcessorTopology

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Start copies of a command, each bound to its CPUs, and wait for them.",
    usage: "mproc run [<options>] -- <command> [<argument> ...]",
    discussion: """
      Each copy finds its number in MPROC_INDEX, from 0 on, and how many there are in MPROC_COUNT; {index} in \
      an argument becomes the number. All copies have the input and the outputs of mproc.

      HUP, INT, QUIT, TERM, USR1 and USR2 are passed on to the copies. Copies stay in the process group of \
      mproc, so the keys of a terminal and timeout(1) reach them too. They die with mproc.

      The exit status is that of the first copy that failed, 128 and the number of the signal where one ended \
      it; 0 when all succeeded; 125 where copies cannot be started or bound, 126 where the command cannot \
      be executed, 127 where it is not found.
      """)

  @Option(help: "How many copies. (default: as many as CPUs can work at once)")
  var workers: Int?

  @OptionGroup var options: PlacementOptions

  @Flag(help: "Write a line for each copy to standard error: the mask that was read back.")
  var reportBindings = false

  @Argument(parsing: .postTerminator, help: "The command and its arguments, after --.")
  var command: [String] = []

  func validate() throws {
    try mproc.validate(workers: workers)
    guard !command.isEmpty else {
      throw ValidationError("no command: it comes after --, as in mproc run --workers 2 -- ls -l")
    }
  }

  func run() throws {
    let topology = CPUTopology.current
    let plan: [CPUSet]
    do {
      plan = try options.plan(workers: workers, on: topology)
    } catch let error as PlacementError {
      throw Failure(error.description, status: 125)
    }
    var crew = try Crew(acceptsNarrowing: options.bestEffort)
    do {
      for (index, cpus) in plan.enumerated() {
        try crew.start(
          command.map { $0.replacing("{index}", with: "\(index)") }, on: cpus,
          environment: ["MPROC_INDEX": "\(index)", "MPROC_COUNT": "\(plan.count)"])
      }
    } catch {
      crew.abandon()
      throw error
    }
    if reportBindings { crew.reportBindings(on: topology) }
    let status = try crew.wait()
    if status != 0 { throw ExitCode(status) }
  }
}
