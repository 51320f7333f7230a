package request

import (
	"github.com/sluice-engine/sluice/internal/jsontext"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// signals is what an answer says about limits and about the server's clock, by
// a reader or, without one, by its status and Retry-After. It reports false if
// the answer was not looked at: there is none, or nobody is interested. asked
// has what the reader is told of the request.
func signals(read feedback.Reader, asked feedback.Answer, response *messages.Response) (said feedback.Feedback, heard bool) {
	if response == nil || read == nil && response.StatusCode < 400 {
		return feedback.Feedback{}, false
	}
	if read == nil {
		read = feedback.RetryAfter
	}
	asked.Status, asked.Header, asked.Body = response.StatusCode, &response.Header, jsontext.WithoutMark(response.Body)
	return read(asked), true
}

// finish keeps the cookies of the answer, runs the post-processors in order, and
// checks the content type the caller asked for.
func (r *slot) finish(response *messages.Response) error {
	r.keepCookies(r.url, response.Header)
	for _, p := range r.needs.Plan.PostProcessors {
		if err := p.PostProcess(r.ctx, r.asked, response); err != nil {
			return err
		}
	}
	if r.asked.Accept == "" || response.StatusCode < 200 || response.StatusCode > 299 {
		return nil // what a refusal says, it says by its status
	}
	return response.Require(r.asked.Accept)
}
