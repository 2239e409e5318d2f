//go:build !unix

package hasher

// lowerPriority leaves the priority as it is.
func lowerPriority() {}
