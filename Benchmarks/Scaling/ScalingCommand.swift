// The `scaling` command: reads what is to be measured, checks all of it, runs the benchmark and
// writes the report. The work itself is in the library ScalingBenchmark.

import ArgumentParser
import ScalingBenchmark
import SystemPackage

@main
struct ScalingCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scaling",
    abstract: "Measures how work scales over worker processes bound to CPUs.",
    discussion: """
      Every kernel runs on each number of workers, in each placement, beside a serial run and \
      threads of one process. All results are checked; a wrong one ends the command with status 1.
      """)

  @Option(help: "Kernels: \(KernelName.allCases.map(\.rawValue).joined(separator: ",")).")
  var kernels: String?

  @Option(name: .customLong("class"), help: "Size of the problem: S, W, A, B or C.")
  var problemClass = "W"

  @Option(
    parsing: .unconditional,
    help: "Numbers of workers, as in 1,2,4 or 1-4. (default: 1 to all usable CPUs)")
  var workers: String?

  @Option(help: "Placements: spread, compact, none, …, or CPU numbers as in cpus:0,1.")
  var placements = "spread"

  @Option(parsing: .unconditional, help: "Trials of each configuration.")
  var repetitions = 5

  @Option(help: "What processes are compared with: serial, threads, both or none.")
  var baselines = "serial,threads"

  @Option(help: "Form of the report: text, json or csv.")
  var format = ReportFormat.text

  @Option(help: "File for the report. (default: standard output)")
  var output: String?

  @Option(help: "SVG file for the speed-up curves.")
  var plot: String?

  mutating func run() async throws {
    let benchmark: ScalingBenchmark
    do {
      benchmark = try ScalingBenchmark(benchmarkConfiguration())
    } catch let error as ScalingError {
      throw ValidationError(error.description)
    }
    if let output, output == plot {
      throw ValidationError("--output and --plot name the same file, '\(output)'; name two")
    }
    let reportFile = try output.map { try OutputFile($0, option: "--output") }
    let plotFile = try plot.map { try OutputFile($0, option: "--plot") }
    let progress = ProgressLine()
    let report = try await benchmark.run(progress: progress.show)
    progress.clear()
    let text = format.text(of: report)
    if let reportFile {
      try reportFile.write(text)
    } else {
      try FileDescriptor.standardOutput.writeAll(text.utf8)
    }
    try plotFile?.write(report.svg)
    for failure in report.failureDescriptions {
      try FileDescriptor.standardError.writeAll("scaling: \(failure)\n".utf8)
    }
    if !report.failures.isEmpty { throw ExitCode.failure }
  }

  private func benchmarkConfiguration() throws -> ScalingConfiguration {
    guard let problemClass = ProblemClass(rawValue: problemClass.uppercased()) else {
      let names = ProblemClass.allCases.map(\.rawValue).joined(separator: ", ")
      throw ValidationError("--class: '\(problemClass)' is not a class; choose one of \(names)")
    }
    var configuration = ScalingConfiguration(
      problemClass: problemClass, placements: try NamedPlacement.list(placements),
      repetitions: repetitions, baselines: try ExecutionMode.baselines(baselines))
    if let kernels { configuration.kernels = try KernelName.list(kernels) }
    if let workers { configuration.workers = try ScalingConfiguration.workers(workers) }
    return configuration
  }
}

enum ReportFormat: String, CaseIterable, ExpressibleByArgument {
  case text
  case json
  case csv

  func text(of report: ScalingReport) -> String {
    switch self {
    case .text: report.text
    case .json: report.json
    case .csv: report.csv
    }
  }
}
