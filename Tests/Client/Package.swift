// swift-tools-version: 6.3
import PackageDescription

// A package that depends on swift-multiprocessing as a user's does. It is built with the defaults of
// Swift 6, and with these features on, under which closure literals mean something else.
let upcomingFeatures: [SwiftSetting] =
  Context.environment["CLIENT_UPCOMING_FEATURES"] == "1"
  ? [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  ] : []

let package = Package(
  name: "Client",
  dependencies: [
    .package(name: "swift-multiprocessing", path: "../..")
  ],
  targets: [
    .executableTarget(
      name: "Client",
      dependencies: [
        .product(name: "Multiprocessing", package: "swift-multiprocessing")
      ],
      swiftSettings: upcomingFeatures)
  ]
)
