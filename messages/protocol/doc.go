// Package protocol is what the actors say to each other.
//
// This table has every word, those of the ticket's road included, which stand
// beside the Ticket in actors/ticket. Words that an actor says to itself (an
// alarm of its own, a dial of its own that ended) stand beside its handlers.
//
//	word                  said by             to             when                                                     answered by
//	----                  -------             --             ----                                                     -----------
//	ticket.AcquirePermit  request, permit     throttler      it is ready to leave                                     LeaseGranted or TicketRefused, by whoever has the ticket then
//	ticket.TryPermit      permit              throttler      whoever asks does not wait                               as AcquirePermit, at once
//	ticket.PermitQueued   throttler           request        it cannot be granted yet, and its owner wants to know     -
//	ticket.AcquireLease   throttler, request  pool, permit   the permit is granted, or none is needed                 LeaseGranted or TicketRefused; by a permit with no word
//	ticket.LeaseGranted   pool                request        answer                                                   -
//	ticket.TicketRefused  throttler, pool     request, permit  answer                                                   -
//	ticket.AbandonPermit  request, permit     throttler      the caller left before an answer                         -
//	ticket.AbandonLease   throttler, request  pool, permit   it follows the ticket there                              -
//	ticket.ExpirePermit   request, permit     throttler      its time is up                                           TicketRefused, by whoever has the ticket then, unless it was answered
//	ticket.ExpireLease    throttler, request  pool, permit   it follows the ticket there                              TicketRefused, unless it was answered
//	ticket.ParkPermit     pool                throttler      no connection is in sight                                -
//	ticket.RequeuePermit  pool, request, permit  throttler   there is a connection; its limits were paused meanwhile  as AcquirePermit
//	ticket.StreamLease    request             pool           the answer is a stream, which holds the connection       -
//	ticket.ReturnLease    request             pool           the exchange is over                                     -
//	ticket.SettlePermit   request, pool, permit  throttler   what became of a granted permit is known                 -
//	HeedAnswer            request             throttler      an answer to a request without a permit spoke of limits  -
//	OpenPool              request, System     supervisor     an origin has no pool yet                                PoolOpened
//	PoolOpened            supervisor          whoever asked  answer                                                   -
//	PoolUnused            pool                supervisor     it has had no connection for long                        PartPool, or nothing if somebody is inside
//	PartPool              supervisor          pool           its door is shut                                         -
//	WarmPool              System              pool           Engine.Warm                                              PoolWarmed
//	PoolWarmed            pool                System         answer                                                   -
//	DropIdle              System              pool           Engine.CloseIdleConnections                              -
//	DescribePool          System              pool           Engine.Stats                                             PoolDescribed
//	PoolDescribed         pool                System         answer                                                   -
//	ClosePool             supervisor          pool           the engine closes                                        -
//	AwaitTime             request, System     timesync       it is to be signed, and no time is known                 TimeReady
//	AwaitSample           request             timesync       its timestamp was refused                                TimeReady
//	TimeReady             timesync            request, System  answer                                                   -
//	ResampleTime          throttler, System   timesync       a limit counts in the server's windows                   -
//	CloseTimesync         supervisor          timesync       the engine closes                                        -
//	ReplaceLimits         System              throttler      Engine.ReplaceLimits                                     LimitsReplaced
//	LimitsReplaced        throttler           System         answer                                                   -
//	AdjustLimit           System              throttler      Engine.AdjustLimit                                       LimitAdjusted
//	LimitAdjusted         throttler           System         answer                                                   -
//	SetShare              System              throttler      Engine.SetShare                                          ShareSet
//	ShareSet              throttler           System         answer                                                   -
//	AnnounceQuota         System              throttler      Engine.AnnounceQuota                                     QuotaAnnounced
//	QuotaAnnounced        throttler           System         answer                                                   -
//	PauseScope            System              throttler      Engine.Pause                                             ScopeSet
//	ResumeScope           System              throttler      Engine.Resume                                            ScopeSet
//	ScopeSet              throttler           System         answer                                                   -
//	HaltQueue             System              throttler      Engine.Halt                                              HaltTaken
//	HaltTaken             throttler           System         answer                                                   -
//	DrainHalted           System              throttler      a halt took tickets out of the queue                     HaltedDrained
//	HaltedDrained         throttler           System         answer                                                   -
//	HaltStands            System              request        Engine.Halt                                              -
//	ForeseePermit         System              throttler      Engine.Explain                                           PermitForeseen
//	PermitForeseen        throttler           System         answer                                                   -
//	DescribeLimits        System              throttler      Engine.Stats, Engine.Glance                              LimitsDescribed
//	LimitsDescribed       throttler           System         answer                                                   -
//	ListWaiting           System              throttler, pool  Engine.Waiting                                         WaitingListed
//	WaitingListed         throttler, pool     System         answer                                                   -
//	CloseThrottler        supervisor          throttler      the engine closes                                        -
//	CloseSystem           System              supervisor     Engine.Close, Engine.Shutdown                            -
//	EndSystem             System              supervisor     no request is on its journey any more                    -
//	LeaveTime             request, System     timesync       the caller left before an answer                         -
//	ClockKnown            timesync            throttler      the clock is known at last, or stepped                   -
//
// Every answer is told to a Recipient that came with the question, exactly once, whatever
// happens, but for one who says LeaveTime before; an actor that cannot answer any more has
// ended, and whoever asks watches for that. A word that an actor does not know is reported in
// the log, never ignored.
//
// Words are plain data, and are sent as values, never as pointers to them.
// Those on every request's road are structs of one pointer, which are sent
// without allocation. The package imports no actor library.
package protocol
