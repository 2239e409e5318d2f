package broker

// KnownDropReason reports whether r is one of the reasons, for tests that go through all.
func KnownDropReason(r DropReason) bool { return r >= 0 && r < dropReasons }
