package hostile

// class is a kind of difference from net/http that is meant.
type class struct {
	name   string
	reason string
	holds  func(d difference) bool
}

var classes = []class{}
