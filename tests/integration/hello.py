"""The package of docs/checks.md: a small service, with all that a check can look at."""

from pathlib import Path

import debs

_DAEMON = r"""#!/usr/bin/perl
use strict;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
$| = 1;
my $web = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 8080, Listen => 5, ReuseAddr => 1) or die $!;
my $udp = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 5300, Proto => "udp") or die $!;
my $unix = IO::Socket::UNIX->new(Local => "/run/hello/control", Listen => 5) or die $!;
print "serving on port 8080\n";
my $select = IO::Select->new($web, $udp, $unix);
while (my @ready = $select->can_read) {
    for my $socket (@ready) {
        if ($socket == $udp) {
            my $client = $udp->recv(my $data, 1000);
            $udp->send("you said $data") if length $data;
        } elsif ($socket == $unix) {
            my $client = $unix->accept;
            my $line = <$client>;
            print $client ($line =~ /^PING/ ? "PONG\n" : "unknown command\n") if defined $line;
        } else {
            my $client = $web->accept;
            my $first = <$client>;
            while (defined $first) { my $line = <$client>; last if !defined $line || $line =~ /^\r?$/ }
            my $status = !defined $first ? "" : $first =~ m{^GET /health } ? "200 OK" : "404 Not Found";
            my $body = $status eq "200 OK" ? "status: ok\n" : "nothing here\n";
            print $client "HTTP/1.0 $status\r\nContent-Type: text/plain\r\n\r\n$body" if $status;
        }
    }
}
"""

_POSTINST = """
groupadd --system hello
useradd --system --gid hello --home-dir /var/lib/hello --shell /usr/sbin/nologin hello
install -d -o hello -g hello -m 0750 /var/lib/hello
"""


def build(directory: Path) -> Path:
    """Build hello_1.0_all.deb and return its path."""
    return debs.build(
        directory,
        "hello",
        unit={"ExecStart": "/usr/bin/hellod", "User": "hello", "RuntimeDirectory": "hello"},
        postinst=_POSTINST,
        files={"/usr/bin/hellod": _DAEMON, "/etc/hello.conf": "port = 8080\n"},
        fields={"Description": "the package of docs/checks.md"},
    )
