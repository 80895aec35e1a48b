// `mproc run`, as a shell sees it.

import Foundation
import Glibc
import Testing

/// The CPUs that this process may use.
private func allowedCPUs() throws -> [Int] {
  let shown = try mproc("plan", "--bind", "thread", "--format", "json")
  let plan = try JSONSerialization.jsonObject(with: Data(shown.output.utf8)) as? [[Int]]
  return try #require(plan).joined().sorted()
}

/// A shell command that prints the mask it runs under, as a list.
private let showMask = "sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status"

@Suite("mproc run", .timeLimit(.minutes(2)))
struct RunCommandTests {
  @Test("each copy knows its number and how many there are")
  func numbers() throws {
    let outcome = try mproc(
      "run", "--workers", "3", "--", "sh", "-c", "echo $MPROC_INDEX/$MPROC_COUNT a{index}b{index}")
    #expect(outcome.status == 0)
    #expect(outcome.lines.sorted() == ["0/3 a0b0", "1/3 a1b1", "2/3 a2b2"])
    #expect(outcome.errors == "")
  }

  @Test("a copy has the environment of the run, and its own number over an old one")
  func environment() throws {
    let outcome = try mproc(
      "run", "--workers", "1", "--", "sh", "-c", "echo $MPROC_INDEX $OTHER",
      environment: ["MPROC_INDEX": "77", "OTHER": "kept"])
    #expect(outcome.lines == ["0 kept"])
  }

  @Test("each copy runs on the CPU that the plan gives it, and the report says so")
  func masks() throws {
    let cpus = try allowedCPUs()
    let outcome = try mproc(
      "run", "--workers", "\(cpus.count + 1)", "--bind", "thread", "--distribute", "close",
      "--share-cores", "--report-bindings", "--", "sh", "-c", "echo {index} $(\(showMask))")
    #expect(outcome.status == 0)
    let plan = try mproc(
      "plan", "--workers", "\(cpus.count + 1)", "--bind", "hwthread", "--distribute", "compact",
      "--share-cores", "--format", "json")
    let sets = try #require(
      try JSONSerialization.jsonObject(with: Data(plan.output.utf8)) as? [[Int]])
    #expect(Set(outcome.lines) == Set(sets.enumerated().map { "\($0.offset) \($0.element[0])" }))
    let report = outcome.errors.split(separator: "\n")
    #expect(report.count == sets.count)
    for (index, line) in report.enumerated() {
      #expect(line.hasPrefix("mproc: copy \(index), process "))
      #expect(line.contains(": bound to CPUs \(sets[index][0]) (package "))
    }
    // One more copy than CPUs: two share one, and are told.
    #expect(report.last?.hasSuffix(", shared with 0") == true)
  }

  @Test("chosen CPUs are the only ones", arguments: ["CPU", "+0", "0xMASK", "!REST"])
  func chosen(form: String) throws {
    let cpus = try allowedCPUs()
    let rest = cpus.dropFirst().map(String.init).joined(separator: ",")
    if form == "!REST", rest.isEmpty { return }
    let list = form.replacing("CPU", with: "\(cpus[0])").replacing("REST", with: rest)
      .replacing("MASK", with: String(1 << cpus[0], radix: 16))
    let outcome = try mproc("run", "--cpus", list, "--", "sh", "-c", showMask)
    #expect(outcome.status == 0)
    #expect(outcome.lines == ["\(cpus[0])"])
  }

  @Test("unbound copies have the mask of the run")
  func unbound() throws {
    let plain = try Run(["sh", "-c", showMask]).finish()
    let outcome = try mproc("run", "--workers", "2", "--bind", "none", "--", "sh", "-c", showMask)
    #expect(outcome.lines == [plain.lines[0], plain.lines[0]])
  }

  @Test("a CPU that is not there is an error that names it, and nothing is started")
  func absentCPU() throws {
    let outcome = try mproc("run", "--cpus", "0,70000", "--", "echo", "started")
    #expect(outcome.status == 125)
    #expect(outcome.output == "")
    #expect(
      outcome.errors == "mproc: CPU 70000 is not available: this machine has no such CPU\n")
    let relaxed = try mproc(
      "run", "--cpus", "all", "--best-effort", "--kind", "efficiency",
      "--workers", "1", "--", "echo", "started")
    #expect(relaxed.output == "started\n")
  }

  @Test(
    "the exit status is that of the first copy that failed",
    arguments: [
      ("true", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143),
      // The second copy fails first, since the first waits for its end.
      (
        "if [ {index} = 1 ]; then exit 4; else while kill -0 $(cat pid) 2>/dev/null; do :; done; exit 5; fi",
        4
      ),
    ] as [(String, Int32)])
  func statuses(script: String, status: Int32) throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("mproc-run-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let whole =
      "cd '\(folder)'; [ {index} = 0 ] || echo $$ >pid; "
      + "while [ ! -s pid ]; do :; done; \(script)"
    #expect(
      try mproc("run", "--workers", "2", "--", "sh", "-c", whole).status == status)
  }

  @Test("a command that is not there is 127, one that cannot be executed 126")
  func badCommands() throws {
    let missing = try mproc("run", "--workers", "2", "--", "no-such-command-anywhere")
    #expect(missing.status == 127)
    #expect(missing.errors == "mproc: no-such-command-anywhere: No such file or directory\n")
    let data = try mproc("run", "--workers", "2", "--", "/etc/passwd")
    #expect(data.status == 126)
    #expect(data.errors == "mproc: /etc/passwd: Permission denied\n")
  }

  @Test("without a command, and with nonsense, the usage is shown")
  func usage() throws {
    for arguments in [
      ["run"], ["run", "--workers", "2", "echo"], ["run", "--workers", "0", "--", "true"],
      ["run", "--distribute", "sideways", "--", "true"], ["run", "--cpus", "1-0", "--", "true"],
    ] {
      let outcome = try Run([mprocPath()] + arguments).finish()
      #expect(outcome.status == 64)
      #expect(outcome.errors.contains("Usage:"))
    }
  }

  @Test("what follows -- belongs to the command, another -- too")
  func terminator() throws {
    let outcome = try mproc("run", "--workers", "1", "--", "echo", "--workers", "--", "-x")
    #expect(outcome.output == "--workers -- -x\n")
  }

  @Test("copies read what is piped in and write into a pipe; a reader that goes ends them")
  func pipes() throws {
    let path = try mprocPath()
    let count = try Run(["sh", "-c", "seq 1000 | '\(path)' run --workers 1 -- wc -l"]).finish()
    #expect(count.output.trimmingCharacters(in: .whitespacesAndNewlines) == "1000")
    let cut = try Run(
      ["bash", "-c", "'\(path)' run --workers 2 -- yes | head -n 1; echo ${PIPESTATUS[0]}"]
    ).finish()
    #expect(cut.lines == ["y", "141"])
  }

  @Test(
    "a signal reaches the copies, and the run lasts until they are done",
    arguments: [
      (SIGTERM, "TERM"), (SIGINT, "INT"), (SIGHUP, "HUP"), (SIGUSR1, "USR1"), (SIGQUIT, "QUIT"),
    ])
  func signals(signal: Int32, name: String) throws {
    let run = try Run([
      "env", try mprocPath(), "run", "--workers", "2", "--", "sh", "-c",
      "trap 'echo got {index}; exit 3' \(name); echo ready; while :; do sleep 0.01; done",
    ])
    #expect(try run.line() == "ready")
    #expect(try run.line() == "ready")
    kill(run.process.processIdentifier, signal)
    let outcome = try run.finish()
    #expect(outcome.status == 3)
    #expect(outcome.lines.sorted() == ["got 0", "got 1"])
  }

  @Test("timeout(1) ends it with its copies", arguments: ["TERM", "KILL"])
  func timeout(signal: String) throws {
    let mark = "31\(UInt32.random(in: 10_000...99_999))"
    let outcome = try Run([
      "timeout", "-s", signal, "0.5", try mprocPath(), "run", "--workers", "2", "--", "sleep", mark,
    ]).finish()
    #expect(outcome.status == (signal == "TERM" ? 124 : 137))
    // Their ends of the output are closed, so they are gone or going; nobody else has that name.
    #expect(try waitUntilGone(mark))
  }

  @Test("copies die with a run that is killed")
  func killed() throws {
    let run = try Run([
      "env", try mprocPath(), "run", "--workers", "2", "--", "sh", "-c",
      "echo $$; while :; do sleep 0.01; done",
    ])
    let pids = try [run.line(), run.line()].compactMap { $0.flatMap { Int32($0) } }
    #expect(pids.count == 2)
    kill(run.process.processIdentifier, SIGKILL)
    // The output ends when its last holder is gone.
    #expect(try run.finish().status == 137)
    for pid in pids { #expect(kill(pid, 0) != 0 || isZombie(pid)) }
  }

  private func isZombie(_ pid: Int32) -> Bool {
    let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
    return text?.contains(") Z ") ?? true
  }

  private func waitUntilGone(_ mark: String) throws -> Bool {
    for _ in 0..<1000 {
      if try Run(["pgrep", "-f", "^sleep \(mark)$"]).finish().status == 1 { return true }
      usleep(10_000)
    }
    return false
  }
}

@Suite("mproc pin", .timeLimit(.minutes(2)))
struct PinCommandTests {
  /// A shell that waits, and prints its mask when it gets a line.
  private func sleeper() throws -> (run: Run, input: FileHandle) {
    let pipe = Pipe()
    let run = try Run(
      ["sh", "-c", "echo ready; read line; \(showMask)"], input: pipe.fileHandleForReading)
    #expect(try run.line() == "ready")
    return (run, pipe.fileHandleForWriting)
  }

  @Test("a running process is bound, and is told so", arguments: [false, true])
  func binds(allThreads: Bool) throws {
    let cpu = try #require(try allowedCPUs().last)
    let (run, input) = try sleeper()
    let pid = "\(run.process.processIdentifier)"
    let all = allThreads ? ["--all-threads"] : []
    let outcome = try Run(
      [mprocPath(), "pin", "--pid", pid, "--cpus", "\(cpu)"] + all
    ).finish()
    #expect(outcome.status == 0)
    #expect(outcome.output.hasPrefix("\(pid): CPUs \(cpu) (package "))
    #expect(try mproc("pin", "--pid", pid).output == outcome.output)
    try input.close()
    #expect(try run.finish().lines == ["\(cpu)"])
  }

  @Test("a CPU that the kernel drops is an error that names it, and the old mask stays")
  func narrowed() throws {
    let cpu = try #require(try allowedCPUs().first)
    let (run, input) = try sleeper()
    let pid = "\(run.process.processIdentifier)"
    let before = try mproc("pin", "--pid", pid).output
    for (list, words) in [("\(cpu),9999", "got \(cpu): CPU 9999"), ("9999", "CPU 9999: ")] {
      let outcome = try mproc("pin", "--pid", pid, "--cpus", list)
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains(words))
      #expect(outcome.errors.contains("no such CPU"))
      #expect(try mproc("pin", "--pid", pid).output == before)
    }
    try input.close()
    #expect(try run.finish().status == 0)
  }

  @Test("a process that is not there is an error that names it")
  func absent() throws {
    for all in [[], ["--all-threads"]] {
      let outcome = try Run(
        [mprocPath(), "pin", "--pid", "4194304", "--cpus", "0"] + all
      ).finish()
      #expect(outcome.status == 1)
      #expect(
        outcome.errors == "mproc: process 4194304: "
          + (all.isEmpty ? "No such process" : "No such file or directory") + "\n")
    }
    #expect(try mproc("pin", "--pid", "0").status == 64)
  }
}
