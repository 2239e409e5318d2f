package wal

// syncDir does nothing: Windows has no such call, NTFS keeps a journal of names.
func syncDir(string) error { return nil }

func syncParents(string) error { return nil }
