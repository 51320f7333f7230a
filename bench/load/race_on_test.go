//go:build race

package load

const racing = true
