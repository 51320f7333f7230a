// Package secrets looks for secrets in what values print: every exported type of
// every public package is filled with a secret wherever one can be, and printed in
// every way there is.
//
//	types.go   the types, held against the source: a new one that is missing is found
//	fill.go    a value of a type, with the secret in every place that is not public
//	public.go  the one table of what is public by nature, with the reason
//	live.go    what an engine at work hands out
//	print.go   every way to print, and every guise a secret may take there
package secrets
