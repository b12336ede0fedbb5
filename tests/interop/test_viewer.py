"""python-socketio as a viewer and as an agent, from docs/protocol.md alone."""

import pytest
import socketio
from conftest import JPEG, Agent, Peer


@pytest.mark.parametrize("transports", [["websocket"], ["polling", "websocket"], ["polling"]])
def test_a_viewer_receives_frames_and_detections(relay, agent, transports):
    viewer = Peer(relay, "/web", transports=transports)
    (cameras,) = viewer.take("cameras")
    assert [(camera["name"], camera["state"]) for camera in cameras] == [("front", "live")]
    viewer.emit("watch", {"camera": "front"})
    agent.wait_for_viewers(1)
    for seq in range(20):
        agent.frame(seq)
        assert agent.take("ack")[0] == {"seq": seq}
        meta, jpeg = viewer.take("frame")
        assert (meta["camera"], meta["seq"], meta["width"]) == ("front", seq, 640)
        assert jpeg == JPEG
        viewer.emit("shown", {"camera": "front", "seq": seq})
    agent.detections(19)
    (found,) = viewer.take("detections")
    assert (found["camera"], found["seq"]) == ("front", 19)
    assert found["objects"] == [{"label": "Dog", "score": 0.875, "box": [0.1, 0.2, 0.3, 0.4]}]
    viewer.close()
    # A client that only polls may end without saying so; the relay then waits for its ping.
    if "websocket" in transports:
        agent.wait_for_viewers(0)


def test_the_clock_is_answered(relay):
    viewer = Peer(relay, "/web")
    viewer.emit("clock", {"t0": 17})
    (answer,) = viewer.take("clock")
    assert answer["t0"] == 17 and answer["t1"] <= answer["t2"]
    viewer.close()


def test_an_agent_of_the_wrong_version_is_told_so(relay):
    client = socketio.Client(reconnection=False)
    told = []
    client.on("connect_error", told.append, namespace="/cv")
    with pytest.raises(socketio.exceptions.ConnectionError):
        client.connect(relay, namespaces=["/cv"], auth={"protocol": 9, "camera": "x"})
    assert "protocol 9" in told[0]["message"]


def test_an_agent_that_takes_over_is_told_apart_from_the_old_one(relay, agent):
    newer = Agent(relay, "front")
    assert "taken over" in agent.take("refused")[0]["message"]
    newer.frame(0)
    assert newer.take("ack")[0] == {"seq": 0}
    newer.close()
