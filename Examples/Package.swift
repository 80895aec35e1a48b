// swift-tools-version: 6.3
import PackageDescription

let multiprocessing = Target.Dependency.product(
  name: "Multiprocessing", package: "swift-multiprocessing")

let package = Package(
  name: "Examples",
  dependencies: [
    .package(name: "swift-multiprocessing", path: "..")
  ],
  targets: [
    .executableTarget(name: "SquaresAndCubes", dependencies: [multiprocessing]),
    .executableTarget(name: "PoolMap", dependencies: [multiprocessing]),
    .executableTarget(name: "PinnedWorkers", dependencies: [multiprocessing]),
    .executableTarget(name: "PinnedPipeline", dependencies: [multiprocessing]),
    .executableTarget(name: "SharedImageFilter", dependencies: [multiprocessing]),
    .executableTarget(name: "WordCountPipeline", dependencies: [multiprocessing]),
  ]
)
