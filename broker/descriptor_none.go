//go:build !unix

package broker

import "errors"

// Where sockets are not file descriptors, every Network Connection is driven like one
// that has none.
const haveDescriptors = false

func readDescriptor(uintptr, []byte) (int, error)        { return 0, errors.ErrUnsupported }
func writeDescriptor(uintptr, []byte, bool) (int, error) { return 0, errors.ErrUnsupported }
