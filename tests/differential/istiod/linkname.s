// This file lets the compiler accept functions without a body: those that go:linkname takes from istiod.
