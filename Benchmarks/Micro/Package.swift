// swift-tools-version: 6.3
import PackageDescription

let package = Package(
  name: "Micro",
  dependencies: [.package(name: "swift-multiprocessing", path: "../..")],
  targets: [
    .executableTarget(
      name: "micro",
      dependencies: [.product(name: "Multiprocessing", package: "swift-multiprocessing")])
  ])
