// Package watch tells when files change. It watches the directories that they lie in, so that
// it sees a file that another one is renamed over, as editors and certbot do, and a symbolic
// link that is replaced anywhere on the way to it, as Kubernetes does.
package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// quiet is how long nothing must happen before files are looked at: a certificate and its
	// key come one after the other.
	quiet = 100 * time.Millisecond
	// patience is how long it is waited for that at most.
	patience = 2 * time.Second
)

// Watcher watches groups of files until Close. Safe for concurrent use.
type Watcher struct {
	notify *fsnotify.Watcher
	failed func(err error)
	ended  chan struct{}

	mu      sync.Mutex
	groups  []*group
	watched map[string]bool // directories
}

// group are files for which the same is to be done.
type group struct {
	files   []string
	changed func()
	seen    string // what look said the last time
}

// New returns a Watcher. failed is told when it can watch something no more; it may not call
// the Watcher. One goroutine calls it and what is given to Add.
func New(failed func(err error)) (*Watcher, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch files: %w", err)
	}
	w := &Watcher{notify: notify, failed: failed, ended: make(chan struct{}), watched: make(map[string]bool)}
	go w.run()
	return w, nil
}

// Add has changed called after each change of one of the files: of what stands in it, of its
// name, or of a link on the way to it. A file need not exist yet, but its directory must; a
// directory stands for the files in it. changed is called once for changes that come together
// and may be called when nothing but a time has changed.
func (w *Watcher) Add(files []string, changed func()) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	g := &group{changed: changed}
	for _, file := range files {
		path, err := filepath.Abs(file)
		if err != nil {
			return err
		}
		g.files = append(g.files, path)
	}
	err := w.follow(g)
	g.seen = g.look()
	w.groups = append(w.groups, g)
	return err
}

// Close ends w. What is being called is waited for.
func (w *Watcher) Close() error {
	err := w.notify.Close()
	<-w.ended
	return err
}

// follow watches every directory on the way to the files of g. It needs mu.
func (w *Watcher) follow(g *group) (first error) {
	for _, file := range g.files {
		for _, dir := range directories(file) {
			if w.watched[dir] {
				continue
			}
			if err := w.notify.Add(dir); err != nil {
				if first == nil {
					first = fmt.Errorf("watch the directory '%s': %w", dir, err)
				}
				continue
			}
			w.watched[dir] = true
		}
	}
	return first
}

// maxLinks is how many symbolic links lead to one file at most, as in Linux.
const maxLinks = 40

// directories returns those in which a change can make path mean another file: its own, the
// one of each symbolic link on the way to it, and itself when it is a directory.
func directories(path string) (all []string) {
	add := func(dir string) {
		if !slices.Contains(all, dir) {
			all = append(all, dir)
		}
	}
	rest := strings.Split(filepath.Clean(path), string(filepath.Separator))
	at, links := string(filepath.Separator), 0
	if volume := filepath.VolumeName(path); volume != "" {
		at = volume + at
	}
	rest = rest[1:]
	add(filepath.Dir(path))
	for len(rest) > 0 {
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		target, err := os.Readlink(next)
		if err != nil {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return all
		}
		add(at) // the link may be replaced there
		if !filepath.IsAbs(target) {
			target = filepath.Join(at, target)
		}
		rest = append(strings.Split(filepath.Clean(target), string(filepath.Separator))[1:], rest...)
		at = filepath.VolumeName(target) + string(filepath.Separator)
	}
	if info, err := os.Stat(at); err == nil && info.IsDir() {
		add(at)
	} else {
		add(filepath.Dir(at))
	}
	return all
}

// look returns what identifies the files as they are: where each really lies, its size and
// its time.
func (g *group) look() string {
	var b strings.Builder
	one := func(path string) {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			fmt.Fprintf(&b, "%s is not there\n", path)
			return
		}
		info, err := os.Stat(real)
		if err != nil {
			fmt.Fprintf(&b, "%s cannot be seen\n", real)
			return
		}
		fmt.Fprintf(&b, "%s %d %d %v\n", real, info.Size(), info.ModTime().UnixNano(), inode(info))
	}
	for _, file := range g.files {
		one(file)
		entries, _ := os.ReadDir(file) // none of what is no directory
		for _, entry := range entries {
			one(filepath.Join(file, entry.Name()))
		}
	}
	return b.String()
}

// run waits for events until Close. What an event says does not matter: the files are looked
// at once it is quiet.
func (w *Watcher) run() {
	defer close(w.ended)
	var timer <-chan time.Time
	var begun time.Time
	for {
		select {
		case _, ok := <-w.notify.Events:
			if !ok {
				return
			}
			now := time.Now()
			if timer == nil {
				begun = now
			}
			timer = time.After(min(quiet, max(0, patience-now.Sub(begun))))
		case err, ok := <-w.notify.Errors:
			if !ok {
				return
			}
			w.failed(fmt.Errorf("watch files: %w", err))
			timer = time.After(quiet) // events may be lost
			begun = time.Now()
		case <-timer:
			timer = nil
			for _, changed := range w.changed() {
				changed()
			}
		}
	}
}

// changed looks at all groups, and returns what is to be called.
func (w *Watcher) changed() (calls []func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for dir := range w.watched {
		if !slices.Contains(w.notify.WatchList(), dir) { // it was removed
			delete(w.watched, dir)
		}
	}
	for _, g := range w.groups {
		w.follow(g) //nolint:errcheck // a directory that is not there any more may come back
		if seen := g.look(); seen != g.seen {
			g.seen = seen
			calls = append(calls, g.changed)
		}
	}
	return calls
}
