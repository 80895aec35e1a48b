// A place in the program's code or data, named so that another copy of the same executable finds it.

internal import CMultiprocessing

/// An address by loaded image and offset (mproc_image.h).
struct CodePlace: Codable, Hashable {
  enum Kind { case code, data }

  var image: UInt64
  var offset: UInt64

  /// Names an address; nil when it lies in no loaded image.
  init?(address: UInt) {
    var place = mproc_place()
    guard unsafe mproc_place_of(address, &place) >= 0 else { return nil }
    image = place.image
    offset = place.offset
  }

  /// The address in this process, and what kind of segment it lies in; nil when the image is not loaded
  /// here.
  func resolve() -> (address: UInt, kind: Kind)? {
    var address: UInt = 0
    let kind = unsafe mproc_place_find(mproc_place(image: image, offset: offset), &address)
    guard kind >= 0 else { return nil }
    return (address, kind == Int32(MPROC_PLACE_CODE.rawValue) ? .code : .data)
  }
}
