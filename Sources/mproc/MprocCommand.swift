// The command `mproc`: what the package knows about processors and workers, for the shell. Each
// subcommand is a file of its own; a new one is added to the list below.

internal import ArgumentParser

@main
struct MprocCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mproc",
    abstract: "Processors, and processes placed on them.",
    subcommands: [TopologyCommand.self, PlanCommand.self, RunCommand.self, PinCommand.self])

  static func main() {
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch let failure as Failure {
      complain(failure.description)
      Self.exit(withError: ExitCode(failure.status))
    } catch {
      exit(withError: error)
    }
  }
}
