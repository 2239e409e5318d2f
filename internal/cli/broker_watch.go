package cli

import (
	"github.com/colibri-mqtt/colibri/internal/watch"
)

// watchFiles has what stands in files of its own read again when they change. The function
// that it returns ends that.
func (s *brokerServer) watchFiles() (end func()) {
	if len(s.reloads) == 0 {
		return func() {}
	}
	w, err := watch.New(s.cannotWatch)
	if err != nil {
		s.cannotWatch(err)
		return func() {}
	}
	for i := range s.reloads {
		r := &s.reloads[i]
		if err := w.Add(r.files, func() { s.reload(r) }); err != nil {
			s.cannotWatch(err)
		}
	}
	return func() { w.Close() }
}

// cannotWatch says that changes of files may not be seen.
func (s *brokerServer) cannotWatch(err error) {
	s.log.printf(logWarning, "Warning: %s After a change of the files send SIGHUP.", sentence(escaped(err.Error(), 1<<10)))
}
