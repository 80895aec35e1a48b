// The type context descriptor of a nominal type, read from its metadata, and back.
//
// Private and local types have no mangled name that can be looked up, but their descriptor is a constant
// of the image, and its access function gives the metadata in any copy of the program. The layouts are
// those of the stable Swift ABI (swift/ABI/Metadata.h, Linux).

/// The place of a type's context descriptor.
enum TypeContext {
  private static let firstFlagsWord = 0
  private static let accessFunctionOffset = 12
  private static let structKind = 0x200
  private static let enumKind = 0x201
  private static let lastMetadataKind = 0x7ff
  private static let genericFlag: UInt32 = 0x80

  /// nil for types that have none, and for generic types, whose arguments a descriptor does not name.
  static func place(of type: Any.Type) -> CodePlace? {
    let metadata = unsafe unsafeBitCast(type, to: UnsafeRawPointer.self)
    let kind = unsafe metadata.load(as: Int.self)
    // A class's first word is its isa: null here, or a pointer.
    let isClass = kind == 0 || kind > lastMetadataKind
    guard isClass || kind == structKind || kind == enumKind else { return nil }
    guard
      let descriptor = unsafe metadata.load(
        fromByteOffset: isClass ? 40 : 8, as: UnsafeRawPointer?.self),
      let place = CodePlace(address: UInt(bitPattern: descriptor)),
      unsafe descriptor.load(fromByteOffset: firstFlagsWord, as: UInt32.self) & genericFlag == 0
    else { return nil }
    return place
  }

  /// The type whose descriptor lies there; nil when the place is not in this process.
  static func type(at place: CodePlace) -> Any.Type? {
    guard let (address, kind) = place.resolve(), kind == .data,
      let descriptor = unsafe UnsafeRawPointer(bitPattern: address)
    else { return nil }
    let offset = unsafe descriptor.load(fromByteOffset: accessFunctionOffset, as: Int32.self)
    let function = unsafe descriptor + accessFunctionOffset + Int(offset)
    guard offset != 0, CodePlace(address: UInt(bitPattern: function))?.resolve()?.kind == .code
    else { return nil }
    typealias AccessFunction = @convention(c) (_ request: UInt) -> UnsafeRawPointer
    let metadata = unsafe unsafeBitCast(function, to: AccessFunction.self)(0)
    return unsafe unsafeBitCast(metadata, to: Any.Type.self)
  }
}
