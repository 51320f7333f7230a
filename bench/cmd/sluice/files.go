package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// namedFiles are those that a verb reads and writes. A verb names all of them, and has them
// checked before anything starts: what would be lost, or could not be written, is found out then
// and not at the end.
type namedFiles []namedFile

type namedFile struct {
	flag    string   // what names it; empty of an argument
	name    string   // "-" is the standard input, or output; empty of a stream
	use     string   // what it is, for whoever finds that it is another's file as well
	written bool     // or else it is read
	stream  *os.File // in place of a name to look at
}

// reads adds files that are read; those without a name are none.
func (f *namedFiles) reads(flag string, names ...string) {
	use := "a file that " + flag + " reads"
	if flag == "" {
		use = "one of the files to be read"
	}
	for _, name := range names {
		file := namedFile{flag: flag, name: name, use: use}
		if name == "-" {
			file.use, file.stream = "the file of standard input", os.Stdin
		}
		if name != "" {
			*f = append(*f, file)
		}
	}
}

// writes adds a file that is written, at once or at the end; one without a name is none.
func (f *namedFiles) writes(flag, name string) {
	if name != "" {
		*f = append(*f, namedFile{flag: flag, name: name, use: "where " + flag + " writes", written: true})
	}
}

// check refuses a file that cannot be written, and one that is written and is another's as well,
// by whatever names. It leaves every file as it was, and none where there was none.
func (f namedFiles) check() error {
	var wrong mistakes
	for _, file := range f {
		if !file.written || file.name == "-" {
			continue
		}
		made, err := tryToWrite(file.name)
		wrong.note(file.flag, err)
		if made != "" {
			defer os.Remove(made)
		}
	}
	for _, clash := range f.clashes() {
		wrong.add("%s", clash)
	}
	return wrong.err()
}

// clashes says which files are written that are another's as well, the streams among them: each
// once, though several flags may name the other.
func (f namedFiles) clashes() []string {
	all := append(slices.Clone(f),
		namedFile{flag: "standard output", use: "where standard output goes", written: true, stream: os.Stdout},
		namedFile{flag: "standard error", use: "where standard error goes", written: true, stream: os.Stderr})
	var clashes []string
	for at, file := range all {
		for before, other := range all {
			if file.written && (before < at || !other.written) && file.is(other) {
				clashes = append(clashes, file.String()+" is "+other.use)
			}
		}
	}
	slices.Sort(clashes)
	return slices.Compact(clashes)
}

// String is the flag with its file, as it is typed.
func (n namedFile) String() string {
	if n.name == "" {
		return n.flag
	}
	return n.flag + " " + n.name
}

// is reports whether two are one file. What is not kept, such as a terminal or a pipe, can be
// shared; and "-" is where standard output goes, by being asked for.
func (n namedFile) is(other namedFile) bool {
	if n.written && other.written && n.name == "-" && other.name == "-" {
		return true
	}
	if n.stream != nil && other.stream != nil {
		return false
	}
	here, err := n.info()
	there, alsoErr := other.info()
	return err == nil && alsoErr == nil && here.Mode().IsRegular() && os.SameFile(here, there)
}

func (n namedFile) info() (os.FileInfo, error) {
	switch {
	case n.stream != nil:
		return n.stream.Stat()
	case n.name == "-":
		return nil, os.ErrNotExist
	}
	return os.Stat(n.name)
}

// tryToWrite opens a file as it will be opened. made is the file, links followed, if there was
// none. What is no file is not opened: who reads from a pipe would take that for its end.
func tryToWrite(name string) (made string, err error) {
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return "", nil
	}
	missing := errors.Is(err, os.ErrNotExist)
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666) // what it has is kept until the end
	if err != nil {
		return "", err
	}
	if missing {
		made, err = filepath.EvalSymlinks(name)
	}
	return made, errors.Join(err, file.Close())
}

// outputs has people told on the standard error if a flag takes the standard output for itself.
func (f namedFiles) outputs(stdout, stderr io.Writer) outputs {
	if slices.ContainsFunc(f, func(file namedFile) bool { return file.written && file.name == "-" }) {
		return outputs{people: stderr, programs: stdout}
	}
	return outputs{people: stdout, programs: stdout}
}
