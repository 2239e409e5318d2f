package broker

// Addresses returns how many addresses the broker counts connections of.
func (b *Broker) Addresses() int { return b.origins.Len() }

// KnownDropReason reports whether r is one of the reasons, for tests that go through all.
func KnownDropReason(r DropReason) bool { return r >= 0 && r < dropReasons }

// Checkpoint does a checkpoint whatever the size of the Log, and reports whether the Log was
// shortened: not when another one is going on.
func Checkpoint(b *Broker) bool {
	if !b.checkpoints.running.TryLock() {
		return false
	}
	defer b.checkpoints.running.Unlock()
	_, ok := b.checkpoint()
	return ok
}
