"""The worker on another computer: through a real sshd, on this computer's loopback."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time

import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.worker.subprocess_transport import run_until_idle  # noqa: E402
from Testing.tests.session_examples import a_session  # noqa: E402
from Testing.tests.worker_examples import IMAGE, ROOT, first_strokes, request, same_account  # noqa: E402

pytest_plugins = ["Testing.tests.worker_examples"]
pytestmark = pytest.mark.usefixtures("one_thread")

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/sbin")


@pytest.fixture(scope="module")
def ssh(tmp_path_factory):
    """Make the command that runs a remote command through a real sshd; it lives as long as this file's tests."""
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("no sshd here; install openssh-server to run this")
    folder = tmp_path_factory.mktemp("sshd")
    folder.chmod(0o700)
    for name in ("host", "user", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # sshd's own, for its unprivileged part
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {folder}/user.pub\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n",
        encoding="utf-8",
    )
    log = open(folder / "log", "w")  # noqa: SIM115 - closed below
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "config"], stderr=log, stdin=subprocess.DEVNULL)
    options = "-o BatchMode=yes -o StrictHostKeyChecking=no -o LogLevel=ERROR"
    login = f"ssh -F none -p {port} {options} -o UserKnownHostsFile={folder}/known {getpass.getuser()}@127.0.0.1"

    def command(remote, key="user"):
        return f"{login} -i {folder}/{key} -o IdentitiesOnly=yes {remote}"

    try:
        tried = None
        for _ in range(50):
            tried = subprocess.run(command("true").split(), capture_output=True, text=True)
            if tried.returncode == 0 or server.poll() is not None:
                break
            time.sleep(0.1)
        if tried.returncode != 0:
            pytest.skip(f"sshd cannot be used here: {tried.stderr} {(folder / 'log').read_text()[-500:]}")
        yield command
    finally:
        server.terminate()
        server.wait()
        log.close()


WORKER = f"'cd {ROOT} && OMP_NUM_THREADS=1 {sys.executable} -m InteractiveRefineLib worker'"


def test_through_ssh_it_is_the_same(start_worker, backbones, ssh):
    expected = a_session(IMAGE).refine(first_strokes())
    client, told = start_worker(ssh(WORKER))
    assert same_account(told.ask(request(backbones["plain"], first_strokes())), expected)


def test_a_key_that_is_not_known_is_explained(start_worker, ssh):
    client, told = start_worker(ssh("true", key="stranger"))
    client.describe_backbone("")
    run_until_idle(client)
    assert told.error_codes == ["cannot-start"]
    assert "`ssh` reaches the machine" in str(told.errors[0]) and "Permission denied" in str(told.errors[0])


def test_a_login_shell_that_chatters_is_explained(start_worker, ssh):
    client, told = start_worker(ssh("'echo You have mail.; cat'"))
    client.describe_backbone("")
    run_until_idle(client)
    assert told.error_codes == ["protocol"]
    assert "'You have mail.'" in str(told.errors[0]) and "prints at login" in str(told.errors[0])


def test_the_worker_over_there_leaves_when_the_line_breaks(start_worker, backbones, ssh, tmp_path):
    mark = tmp_path / "pid"
    remote = f"'echo $$ > {mark}; cd {ROOT}; exec {sys.executable} -m InteractiveRefineLib worker'"
    client, told = start_worker(ssh(remote))
    client.submit(request(backbones["slow"], first_strokes()))
    while not told.progress:
        client.transport.pump(0.1)
    client.kill()
    pid = int(mark.read_text())
    deadline = time.monotonic() + 20
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not os.path.exists(f"/proc/{pid}")
