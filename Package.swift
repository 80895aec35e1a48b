// swift-tools-version: 6.3
import PackageDescription

// Warnings are errors in our own builds only: the Makefile and .ci/run set this variable. A package
// that depends on this one never sees it, so a newer compiler's new warning cannot break a client.
let isStrict = Context.environment["MPROC_STRICT"] == "1"

let swiftSettings: [SwiftSetting] =
  [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  ] + (isStrict ? [.treatAllWarnings(as: .error)] : [])

let cSettings: [CSetting] = [.define("_GNU_SOURCE")]

let package = Package(
  name: "swift-multiprocessing",
  products: [
    .library(name: "Multiprocessing", type: .static, targets: ["Multiprocessing"]),
    .library(name: "ProcessorTopology", type: .static, targets: ["ProcessorTopology"]),
    .executable(name: "scaling", targets: ["scaling"]),
    .executable(name: "mproc", targets: ["mproc"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-system", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
  ],
  targets: [
    .systemLibrary(
      name: "CNuma", path: "CSources/CNuma", pkgConfig: "numa",
      providers: [.apt(["libnuma-dev"]), .yum(["numactl-devel"])]),
    .target(
      name: "CMultiprocessing", dependencies: ["CNuma"], path: "CSources/CMultiprocessing",
      cSettings: cSettings),
    .target(
      name: "ProcessorTopology",
      dependencies: [
        "CMultiprocessing",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: swiftSettings),
    .target(
      name: "Multiprocessing",
      dependencies: [
        "CMultiprocessing",
        "ProcessorTopology",
        .product(name: "SystemPackage", package: "swift-system"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "mproc",
      dependencies: [
        "CMultiprocessing",
        "ProcessorTopology",
        .product(name: "SystemPackage", package: "swift-system"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "ProcessorTopologyTests",
      dependencies: [
        "ProcessorTopology",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      exclude: ["Fixtures"],
      swiftSettings: swiftSettings),
    .testTarget(name: "MprocTests", dependencies: ["mproc"], swiftSettings: swiftSettings),
    .testTarget(
      name: "MultiprocessingTests",
      dependencies: [
        "CMultiprocessing",
        "Multiprocessing",
        "Scenarios",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "InMemoryLogging", package: "swift-log"),
      ],
      swiftSettings: swiftSettings),
    .target(
      name: "ScalingBenchmark",
      dependencies: [
        "Multiprocessing",
        "ProcessorTopology",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "scaling",
      dependencies: [
        "ScalingBenchmark",
        .product(name: "SystemPackage", package: "swift-system"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Benchmarks/Scaling",
      swiftSettings: swiftSettings),
    .testTarget(
      name: "ScalingBenchmarkTests",
      dependencies: ["ScalingBenchmark", "Multiprocessing", "ProcessorTopology"],
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "Scenarios", dependencies: ["Multiprocessing"], path: "Tests/Scenarios",
      swiftSettings: swiftSettings),
  ]
)
