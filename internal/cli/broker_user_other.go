//go:build !unix

package cli

import "errors"

func (a *account) become() error { return errors.ErrUnsupported }

// noFollow has no use: nobody runs as root.
const noFollow = 0

// onlyRootWrites is never asked here.
func onlyRootWrites(string) bool { return false }
