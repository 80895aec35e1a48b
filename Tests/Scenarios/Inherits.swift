// Shows that a child inherits what the application has when it starts the child, whatever its start method: not
// what the application had when it started its fork server.

import Glibc
import Multiprocessing

enum Inherits {
  private struct Context: Codable, Equatable, Sendable {
    var directory: String
    var niceness: Int32
    var openFiles: [UInt]
    var coreSize: [UInt]
    var cpus: String

    static func now() -> Context {
      var openFiles = rlimit()
      var coreSize = rlimit()
      unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &openFiles)
      unsafe getrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &coreSize)
      return Context(
        directory: unsafe getcwd(nil, 0).map { unsafe String(cString: $0) } ?? "none",
        niceness: nice(0), openFiles: [openFiles.rlim_cur, openFiles.rlim_max],
        coreSize: [coreSize.rlim_cur, coreSize.rlim_max], cpus: "\(CurrentProcess.affinity)")
    }
  }

  /// - Parameter path: An empty file, which gets the output of one of the children.
  static func run(writingTo path: String) async throws {
    for method in startMethods { try await compare(method) }
    require(unsafe chdir("/usr") == 0, "no /usr")
    require(nice(3) == 3, "no niceness")
    limit(RLIMIT_NOFILE, 200, 300)
    limit(RLIMIT_CORE, 0, 0)
    for method in startMethods { try await compare(method) }
    try await compareRelative()
    if let cpu = CurrentProcess.affinity.first(where: { _ in true }) {
      for method in startMethods {
        let child = try withCPUAffinity([cpu]) {
          try ChildProcess(options: ProcessOptions(startMethod: method)) { Context.now() }
        }
        let context = try await child.value
        require(context.cpus == "\(cpu)", "\(method): \(context)")
      }
    }
    for method in startMethods { try await redirect(method, to: path) }
    print("inherits passed")
  }

  private static func compare(_ method: StartMethod) async throws {
    let own = Context.now()
    let inherited = try await ChildProcess(options: ProcessOptions(startMethod: method)) {
      Context.now()
    }.value
    require(inherited == own, "\(method): \(inherited), not \(own)")
  }

  /// A relative folder is relative to the application's, as it is now.
  private static func compareRelative() async throws {
    for method in startMethods {
      let options = ProcessOptions(startMethod: method, workingDirectory: "bin")
      let directory = try await ChildProcess(options: options) { Context.now() }.value.directory
      require(directory.hasSuffix("/bin"), "\(method): \(directory)")
    }
  }

  private static func redirect(_ method: StartMethod, to path: String) async throws {
    fflush(nil)
    let before = dup(STDOUT_FILENO)
    let file = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    require(file >= 0 && before >= 0, "\(path) cannot be opened")
    dup2(file, STDOUT_FILENO)
    let child = Result {
      try ChildProcess(method.rawValue, options: ProcessOptions(startMethod: method)) {
        print("from \($0)")
      }
    }
    dup2(before, STDOUT_FILENO)
    close(before)
    close(file)
    try await child.get().value
  }

  private static func limit(_ resource: __rlimit_resource, _ soft: UInt, _ hard: UInt) {
    var value = rlimit(rlim_cur: soft, rlim_max: hard)
    require(
      unsafe setrlimit(__rlimit_resource_t(resource.rawValue), &value) == 0,
      "limit \(resource.rawValue) cannot be set")
  }
}
