// The page: logs in, shows tasks, and hears of every change over a websocket.
import { FetchBackend, HttpError, LoginController, TasksController, readWebSocketMessage } from "./client.js";
const backend = new FetchBackend();
const login = new LoginController(backend);
const tasks = new TasksController(backend);
let tokens;
function found(id) {
    return document.getElementById(id);
}
const bearer = () => `Bearer ${tokens?.accessToken ?? ""}`;
/** Does something; once more with new tokens when the old ones have run out. */
async function doing(what) {
    found("wrong").textContent = "";
    try {
        try {
            return await what();
        }
        catch (error) {
            if (!(error instanceof HttpError && error.status === 401 && tokens))
                throw error;
            tokens = await login.refresh(tokens.refreshToken);
            return await what();
        }
    }
    catch (error) {
        found("wrong").textContent = error instanceof HttpError ? (error.body?.detail ?? error.message) : String(error);
        return undefined;
    }
}
function show(task) {
    const list = found("tasks");
    let item = document.getElementById(task.taskId);
    if (task.state === "deleted") {
        item?.remove();
        return;
    }
    if (!item) {
        item = document.createElement("li");
        item.id = task.taskId;
        const name = document.createElement("span");
        name.textContent = task.name;
        const remove = document.createElement("button");
        remove.textContent = "Delete";
        remove.onclick = () => doing(() => tasks.deleteTask(bearer(), task.taskId));
        item.append(name, remove);
        list.prepend(item);
    }
    // What is done stays so: the answer to a request may come after a message about what followed.
    if (item.dataset["state"] !== "done")
        item.dataset["state"] = task.state;
}
function listen() {
    const place = location.origin.replace(/^http/, "ws");
    const socket = new WebSocket(`${place}/tasks/ws`);
    socket.onmessage = async ({ data }) => {
        const text = await data.text();
        if (!text.startsWith("{")) {
            found("said").textContent = text;
            return;
        }
        const told = await readWebSocketMessage(text);
        show(told.message);
    };
    socket.onopen = refresh;
    socket.onclose = () => tokens && setTimeout(listen, 1000);
}
async function refresh() {
    const all = (await doing(() => tasks.listTasks(bearer()))) ?? [];
    for (const one of all.reverse())
        show({ taskId: one.id, name: one.data.name, state: one.data.done ? "done" : "waiting" });
}
found("login").onsubmit = async (event) => {
    event.preventDefault();
    const name = found("name").value;
    tokens = await doing(() => login.login({ name, password: found("password").value }));
    if (!tokens)
        return;
    found("login").hidden = true;
    found("board").hidden = false;
    listen();
};
found("add").onsubmit = async (event) => {
    event.preventDefault();
    const input = found("task");
    const made = await doing(() => tasks.createTask(bearer(), { name: input.value, done: false }));
    if (made)
        input.value = "";
};
found("logout").onclick = async () => {
    if (tokens)
        await doing(() => login.revoke(tokens));
    tokens = undefined;
    location.reload();
};
