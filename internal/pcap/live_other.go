//go:build !linux

package pcap

import "errors"

// Live captures the frames of a network interface; it exists on Linux only.
type Live struct{}

// Listen returns errors.ErrUnsupported.
func Listen(string) (*Live, error) { return nil, errors.ErrUnsupported }

// Next returns errors.ErrUnsupported.
func (*Live) Next() (*Frame, error) { return nil, errors.ErrUnsupported }

// Dropped returns 0.
func (*Live) Dropped() int { return 0 }

// Close does nothing.
func (*Live) Close() error { return nil }
