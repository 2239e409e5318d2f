//go:build !unix

package cli

import "errors"

func (a *account) become() error { return errors.ErrUnsupported }
