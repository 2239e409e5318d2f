package cli

import "github.com/colibri-mqtt/colibri/internal/config"

// reloaded is something of a running broker that stands in files, such as its passwords.
type reloaded struct {
	what  string   // for the log: "the passwords"
	files []string // that it is read from
	// load reads the files again and puts what they say in the place of what held before, at
	// once and whole; with an error, which names the file, nothing changes.
	load func() error
}

// reload reads one of them again and says what became of it.
func (s *brokerServer) reload(r *reloaded) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if err := r.load(); err != nil {
		s.log.printf(logError, "Reading %s again: %s The broker goes on with what held before.", r.what, sentence(escaped(err.Error(), 1<<12)))
		return
	}
	s.log.printf(logNotice, "Reading %s again: what stands there holds from now on.", r.what)
}

// hangup answers SIGHUP: it opens the log file again, reads again what stands in files of its
// own, and checks the configuration, which this version takes over only when it starts.
func (s *brokerServer) hangup() {
	s.log.reopen()
	for i := range s.reloads {
		s.reload(&s.reloads[i])
	}
	if s.options.configFile == "" {
		s.log.printf(logNotice, "SIGHUP: there is no configuration file to read again.")
		return
	}
	if _, err := config.Read(s.options.configFile); err != nil {
		s.log.printf(logError, "SIGHUP: the configuration is wrong now, the broker goes on with the old one: %s", sentence(escaped(err.Error(), 1<<12)))
		return
	}
	s.log.printf(logWarning, "SIGHUP: %s is right, but this version takes it over only at the next start.", escaped(s.options.configFile, 1<<12))
}
