# A Windows game PC joins by `apexmania actor join`, which only calls out to the head's port 6390: Windows allows
# that without any rule. These lines, in a PowerShell run as administrator, make it explicit where outgoing
# connections are blocked, and let nobody in. Set the address of your head.

$HeadAddress = "192.168.1.10"

New-NetFirewallRule -DisplayName "ApexMania: to the head's Redis" -Direction Outbound -Action Allow `
    -Protocol TCP -RemoteAddress $HeadAddress -RemotePort 6390
New-NetFirewallRule -DisplayName "ApexMania: nobody reaches tmrl's telemetry from outside" -Direction Inbound `
    -Action Block -Protocol TCP -LocalPort 9000

# The same by netsh:
#   netsh advfirewall firewall add rule name="ApexMania: to the head's Redis" dir=out action=allow protocol=TCP remoteip=192.168.1.10 remoteport=6390
#   netsh advfirewall firewall add rule name="ApexMania: nobody reaches tmrl's telemetry from outside" dir=in action=block protocol=TCP localport=9000
#
# Taken back by:
#   Remove-NetFirewallRule -DisplayName "ApexMania: *"
