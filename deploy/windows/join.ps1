# Makes this Windows PC an actor of a training elsewhere. For Windows PowerShell 5.1 and PowerShell 7.
# Never run by its authors, who have no Windows: read it before you start it, and tell what fails.
#
#   powershell -ExecutionPolicy Bypass -File deploy\windows\join.ps1
#
# It asks for the join string that "apexmania token create NAME" printed on the head, and then
#   1. makes .venv beside this checkout and installs this checkout into it, without Ray's extras being used,
#   2. tries the one outgoing TCP port that is needed,
#   3. stores the credentials in %USERPROFILE%\.apexmania, for this user alone,
#   4. registers a scheduled task that starts the actor when this user logs on, because a game needs a desktop,
#      and starts it again when it fails.
# To remove it:  Unregister-ScheduledTask -TaskName "ApexMania NAME";  .venv\Scripts\apexmania actor leave NAME
[CmdletBinding()]
param(
    [string]$Python = "py",
    [string]$Venv = "",
    [string[]]$Set = @(),
    [switch]$NoTask
)

$ErrorActionPreference = "Stop"
$root = (Resolve-Path (Join-Path $PSScriptRoot "..\..")).Path
if ($Venv -eq "") { $Venv = Join-Path $root ".venv" }
$exe = Join-Path $Venv "Scripts\apexmania.exe"
$pip = Join-Path $Venv "Scripts\python.exe"

function Invoke-Checked {
    param([string]$Program, [string[]]$Words)
    & $Program @Words
    if ($LASTEXITCODE -ne 0) { throw "$Program ended with exit code $LASTEXITCODE" }
}

$secure = Read-Host -AsSecureString "Join string (it is not shown)"
$pointer = [Runtime.InteropServices.Marshal]::SecureStringToBSTR($secure)
try { $line = [Runtime.InteropServices.Marshal]::PtrToStringBSTR($pointer).Trim() }
finally { [Runtime.InteropServices.Marshal]::ZeroFreeBSTR($pointer) }

if (-not (Test-Path $pip)) { Invoke-Checked $Python @("-m", "venv", $Venv) }
Invoke-Checked $pip @("-m", "pip", "install", "--quiet", "--upgrade", "pip")
Invoke-Checked $pip @("-m", "pip", "install", "--quiet", "--constraint", (Join-Path $root "constraints.txt"), "--editable", $root)

# The string goes through standard input, so that it is in no command line and no history.
$known = $line | & $exe actor store -
if ($LASTEXITCODE -ne 0) { throw "the join string was refused" }
$joined = ($known | Out-String | ConvertFrom-Json)
$line = $null
icacls (Join-Path $env:USERPROFILE ".apexmania") /inheritance:r /grant:r "${env:USERNAME}:(OI)(CI)F" | Out-Null

$link = Test-NetConnection -ComputerName $joined.host -Port $joined.port -WarningAction SilentlyContinue
if (-not $link.TcpTestSucceeded) {
    Write-Warning "No connection to $($joined.host), port $($joined.port). Is the head running, and its firewall open?"
}

$words = @("actor", "join", $joined.name)
foreach ($setting in $Set) { $words += @("--set", $setting) }
if ($NoTask) {
    & $exe @words
    exit $LASTEXITCODE
}

$arguments = ($words | ForEach-Object { '"' + $_ + '"' }) -join " "
$action = New-ScheduledTaskAction -Execute $exe -Argument $arguments -WorkingDirectory $root
$trigger = New-ScheduledTaskTrigger -AtLogOn -User "$env:USERDOMAIN\$env:USERNAME"
$settings = New-ScheduledTaskSettingsSet -RestartCount 999 -RestartInterval (New-TimeSpan -Minutes 1) `
    -ExecutionTimeLimit ([TimeSpan]::Zero) -MultipleInstances IgnoreNew `
    -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries
$task = "ApexMania $($joined.name)"
Register-ScheduledTask -TaskName $task -Action $action -Trigger $trigger -Settings $settings -Force | Out-Null
Start-ScheduledTask -TaskName $task
Write-Host "The task '$task' runs now and at each logon. Its window says how it goes; so does: apexmania actor list"
