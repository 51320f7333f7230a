//go:build !unix

package doctor

func fileLimit() (n uint64, ok bool) { return 0, false }
