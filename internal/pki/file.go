package pki

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	publicMode  fs.FileMode = 0o644
	privateMode fs.FileMode = 0o600

	certificateBlock = "CERTIFICATE"
	keyBlock         = "PRIVATE KEY"
	listBlock        = "X509 CRL"
)

// file is a file to be written.
type file struct {
	name string
	mode fs.FileMode
	data []byte
}

// ExistsError says that files would have been overwritten. Nothing was written.
type ExistsError struct {
	Files []string // paths
}

func (e *ExistsError) Error() string {
	if len(e.Files) == 1 {
		return fmt.Sprintf("the file %s is there already, and nothing was written: choose another name or directory, or move it away", e.Files[0])
	}
	return fmt.Sprintf("the files %s are there already, and nothing was written: choose another name or directory, or move them away", strings.Join(e.Files, ", "))
}

// Is makes it an fs.ErrExist.
func (e *ExistsError) Is(target error) bool { return target == fs.ErrExist }

// writeNew writes files into dir: all of them whole, or with an error none. It overwrites
// nothing. A crash may leave files that begin with ".colibri-".
func writeNew(dir string, files []file) error {
	taken := &ExistsError{}
	names := map[string]bool{}
	for _, f := range files {
		if names[strings.ToLower(f.name)] { // some file systems do not tell them apart
			return fmt.Errorf("two of the certificates would be in the file %s: give them different names", f.name)
		}
		names[strings.ToLower(f.name)] = true
		if _, err := os.Lstat(filepath.Join(dir, f.name)); err == nil {
			taken.Files = append(taken.Files, filepath.Join(dir, f.name))
		}
	}
	if len(taken.Files) > 0 {
		return taken
	}
	staged := make([]string, 0, len(files))
	defer func() {
		for _, path := range staged {
			os.Remove(path)
		}
	}()
	for _, f := range files {
		path, err := stage(dir, f)
		if err != nil {
			return err
		}
		staged = append(staged, path)
	}
	return place(dir, files, staged)
}

// place gives the staged files their names, all or none of them.
func place(dir string, files []file, staged []string) error {
	for i, f := range files {
		path := filepath.Join(dir, f.name)
		err := os.Link(staged[i], path) // unlike a rename it never replaces
		if err == nil {
			continue
		}
		for _, done := range files[:i] {
			os.Remove(filepath.Join(dir, done.name))
		}
		if errors.Is(err, fs.ErrExist) {
			return &ExistsError{Files: []string{path}}
		}
		return fmt.Errorf("put %s into its place, which takes a file system that links files: %w", path, err)
	}
	return nil
}

// stage writes f under a name of its own and returns its path.
func stage(dir string, f file) (string, error) {
	out, err := os.CreateTemp(dir, ".colibri-*") // mode 0600
	if err != nil {
		return "", err
	}
	if err := fill(out, f); err != nil {
		os.Remove(out.Name())
		return "", err
	}
	return out.Name(), nil
}

// fill writes f into out and closes it. What was filled survives a power cut.
func fill(out *os.File, f file) error {
	_, err := out.Write(f.data)
	if err == nil {
		err = out.Chmod(f.mode)
	}
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}
