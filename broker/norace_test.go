//go:build !race

package broker_test

// raced says that the race detector runs, which makes everything ten times slower.
const raced = false
