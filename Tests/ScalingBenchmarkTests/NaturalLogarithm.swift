// The logarithm of the C library, under a name that does not collide with anything in tests.

import Glibc

func naturalLogarithm(_ value: Double) -> Double {
  log(value)
}
