package token

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/colibri-mqtt/colibri/internal/auth"
)

// Files are the files that keys are read from; empty for none.
type Files struct {
	Public string // public keys and certificates as PEM
	JWKS   string // a JSON Web Key, or a set of them
	Secret string // the secret of HS256, HS384 and HS512
}

// Keys are the keys of the issuers whose tokens are believed, from files, from a URL or from
// both. It is safe for concurrent use.
type Keys struct {
	files  Files
	loaded atomic.Pointer[[]key] // of the files
	remote *Remote               // nil without a URL
}

// NewKeys reads the files. remote may be nil.
func NewKeys(files Files, remote *Remote) (*Keys, error) {
	k := &Keys{files: files, remote: remote}
	return k, k.Load()
}

// Load reads the files again. With an error, which names the file and holds no key, nothing
// has changed.
func (k *Keys) Load() error {
	var all []key
	for _, file := range []struct {
		path  string
		parse func([]byte) ([]key, error)
	}{
		{k.files.Public, parsePEM},
		{k.files.JWKS, func(b []byte) ([]key, error) { return parseJWKS(b, true) }},
		{k.files.Secret, parseSecret},
	} {
		if file.path == "" {
			continue
		}
		b, err := auth.ReadFile(file.path)
		if err != nil {
			return err
		}
		keys, err := file.parse(b)
		if err != nil {
			return fmt.Errorf("%s: %w", file.path, err)
		}
		all = append(all, keys...)
	}
	k.loaded.Store(&all)
	return nil
}

// fitting returns the keys for a token with that algorithm and kid. The error is a Fault.
func (k *Keys) fitting(ctx context.Context, algorithm, id string) ([]key, error) {
	found := pick(*k.loaded.Load(), algorithm, id)
	if k.remote == nil {
		return found, nil
	}
	more, err := k.remote.fitting(ctx, algorithm, id)
	if len(found) > 0 {
		err = nil // it may well be one of these
	}
	return append(found, more...), err
}

// pick returns the keys that fit.
func pick(keys []key, algorithm, id string) (found []key) {
	for i := range keys {
		if keys[i].fits(algorithm, id) {
			found = append(found, keys[i])
		}
	}
	return found
}
