internal import CMultiprocessing
enum WorkerMain {
  static func run(_ start: mproc_start) -> Int32 { 0 }
}
