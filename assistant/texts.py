"""Every text that a person reads, in Chinese and in English."""

from enum import StrEnum

from assistant.errors import AssistantError
from engine import EngineError


class Language(StrEnum):
    CHINESE = "zh"
    ENGLISH = "en"

    @classmethod
    def of_locale(cls, locale: str | None) -> "Language":
        """The language for a locale such as zh-CN or en_US.UTF-8."""
        return cls.CHINESE if (locale or "").lower().startswith("zh") else cls.ENGLISH


def text(language: Language, key: str, **fields: object) -> str:
    return TEXTS[key][language].format(**fields)


def say(error: EngineError | AssistantError, language: Language) -> str:
    """What an error says: its own message in English, the catalog's in Chinese."""
    if language is Language.ENGLISH:
        return str(error)
    return CHINESE_ERRORS[type(error).__name__].format(**error.fields)


def size(n_bytes: int) -> str:
    """A number of bytes as people write it: 512 MB, 1.12 GB."""
    if n_bytes < 10**9:
        return f"{n_bytes / 10**6:.0f} MB"
    return f"{n_bytes / 10**9:.2f} GB"


def file_size(n_bytes: int) -> str:
    """A file's size as people write it: 512 B, 2 kB, 1.5 MB."""
    if n_bytes < 1000:
        return f"{n_bytes} B"
    if n_bytes < 10**6:
        return f"{n_bytes / 1000:.0f} kB"
    return f"{n_bytes / 10**6:.1f} MB"


def duration(seconds: float, language: Language) -> str:
    """Seconds as people say them: 8 s, 2 min 5 s."""
    minutes, rest = divmod(max(round(seconds), 1), 60)
    key = "minutes" if minutes else "seconds"
    return text(language, key, minutes=minutes, seconds=rest)


def _pair(chinese: str, english: str) -> dict[Language, str]:
    return {Language.CHINESE: chinese, Language.ENGLISH: english}


TEXTS: dict[str, dict[Language, str]] = {
    "title": _pair("助手", "Assistant"),
    "chat": _pair("对话", "Chat"),
    "welcome": _pair("你好，想聊点什么？", "Hello, what shall we talk about?"),
    "welcome_hint": _pair(
        "模型在这台机器的 CPU 上运行，对话不会离开它。",
        "The model runs on this machine's CPU, and what you write stays on it.",
    ),
    "suggestions": _pair("试试这些", "Try one of these"),
    "suggestion_1": _pair("用一句话介绍北京", "Explain recursion in one sentence"),
    "suggestion_2": _pair(
        "写一个判断质数的 Python 函数", "Write a Python function that tests for primes"
    ),
    "suggestion_3": _pair("一元二次方程的求根公式是什么？", "What is the quadratic formula?"),
    "ask": _pair("输入问题", "Ask anything"),
    "stop": _pair("停止", "Stop"),
    "regenerate": _pair("重新生成", "Regenerate"),
    "continue": _pair("继续", "Continue"),
    "clear": _pair("清空对话", "Clear"),
    "clear_help": _pair("删除此对话的全部消息", "Removes all messages of this conversation"),
    "system_prompt": _pair("系统提示", "System prompt"),
    "system_prompt_hint": _pair("留空则使用模型自带的", "Empty: the model's own"),
    "temperature": _pair("温度", "Temperature"),
    "temperature_help": _pair(
        "0 每次都选最可能的词；越高越随意", "0 always takes the likeliest word; higher is freer"
    ),
    "top_p": _pair("Top-p", "Top-p"),
    "top_p_help": _pair(
        "只从累计概率达到此值的词里选", "Choose among the likeliest words that add up to this"
    ),
    "repetition_penalty": _pair("重复惩罚", "Repetition penalty"),
    "repetition_penalty_help": _pair(
        "1 不惩罚；越高越少重复", "1 does nothing; higher repeats less"
    ),
    "max_new_tokens": _pair("最多生成词元数", "Maximum new tokens"),
    "max_new_tokens_help": _pair(
        "每次回答的长度上限，到了可以继续", "Where an answer is cut; it can be continued"
    ),
    "model_facts": _pair(
        "{name} · 上下文 {context} · 线程 {threads} · {kernels}",
        "{name} · context {context} · threads {threads} · {kernels}",
    ),
    "starting": _pair("正在启动…", "Starting…"),
    "fetching": _pair(
        "首次启动，正在从 {source} 下载模型：{done} / {total}",
        "First start, fetching the model from {source}: {done} of {total}",
    ),
    "compiling": _pair(
        "正在为这台机器的处理器编译内核（仅首次启动，不到一分钟）…",
        "Compiling kernels for this processor (first start only, under a minute)…",
    ),
    "loading": _pair("正在加载模型：{done} / {total}", "Loading the model: {done} of {total}"),
    "left": _pair("，约剩 {time}", ", about {time} left"),
    "seconds": _pair("{seconds} 秒", "{seconds} s"),
    "minutes": _pair("{minutes} 分 {seconds} 秒", "{minutes} min {seconds} s"),
    "model_failed": _pair("模型没有加载成功", "The model could not be loaded"),
    "model_path": _pair(
        "本机上的模型文件（.gguf 或 .bin）", "A model file on this machine (.gguf or .bin)"
    ),
    "model_path_hint": _pair(
        "也可以这样启动：MODEL=/路径/模型.gguf streamlit run streamlit_app.py",
        "Or start with: MODEL=/path/to/model.gguf streamlit run streamlit_app.py",
    ),
    "open_model": _pair("加载此文件", "Load this file"),
    "model_operators": _pair(
        "管理员须在这台机器上选择模型。",
        "An operator has to choose another one, at the machine itself.",
    ),
    "public": _pair(
        "公开中：{url} （自 {since} 起，到 {until} 为止）",
        "Public at {url} since {since}, until {until}.",
    ),
    "public_stop": _pair("停止公开", "Stop sharing"),
    "public_stopping": _pair("正在停止公开…", "Sharing is being stopped…"),
    "account_help": _pair("帐户、API 密钥、退出登录", "Account, API keys, signing out"),
    "visitor_changed": _pair(
        "这个页面是别的身份打开的。请重新加载。",
        "This page was opened under another name. Load it again.",
    ),
    "fetch_starter": _pair("下载入门模型", "Fetch the starter model"),
    "prefill": _pair("正在阅读：{done}/{total} 词元", "Reading: {done}/{total} tokens"),
    "thinking": _pair("正在准备…", "Getting ready…"),
    "stats": _pair(
        "{tokens} 词元 · {speed:.1f} 词元/秒 · 首词 {first:.1f} 秒",
        "{tokens} tokens · {speed:.1f} tokens/s · first token after {first:.1f} s",
    ),
    "cut_limit": _pair("已截断：达到最多生成词元数", "Cut: reached the maximum of new tokens"),
    "cut_context": _pair(
        "已截断：上下文已满，清空对话可重新开始",
        "Cut: the context is full; clear the conversation to start afresh",
    ),
    "dropped_turns": _pair(
        "上下文已满：最早的 {count} 轮对话没有交给模型",
        "The context is full: the oldest turns ({count}) were not given to the model",
    ),
    "cut_stopped": _pair("已停止", "Stopped"),
    "cut_error": _pair("回答中断：{error}", "Broken off: {error}"),
    "rounds_used_up": _pair(
        "已达到 8 轮调用的上限，回答没有再用工具",
        "The limit of 8 rounds of calls was reached; the answer was written without more of them",
    ),
    "tools": _pair("工具", "Tools"),
    "tools_welcome": _pair("需要做点什么？", "What shall we find out?"),
    "tools_hint": _pair(
        "模型自己决定何时调用工具。会改动或联网的工具先征求你的同意。",
        "The model decides when to call a tool. Those that change or send something ask you first.",
    ),
    "tools_suggestion_1": _pair("今天北京的天气怎么样？", "What is the weather in Paris today?"),
    "tools_suggestion_2": _pair("现在东京几点？", "What time is it in Tokyo now?"),
    "tools_suggestion_3": _pair("12.5 英里是多少公里？", "How many kilometres are 12.5 miles?"),
    "tools_offered": _pair(
        "{offered}/{total} 个工具，占提示 {tokens} 词元",
        "{offered} of {total} tools offered, {tokens} tokens of the prompt",
    ),
    "tool_choice": _pair("工具选择", "Tool choice"),
    "choice_auto": _pair("自动", "Automatic"),
    "choice_required": _pair("必须调用", "A call is required"),
    "choice_none": _pair("不调用", "No tools"),
    "choice_named": _pair("必须调用 {name}", "Always call {name}"),
    "constrain_calls": _pair("约束调用的写法", "Constrain calls"),
    "constrain_calls_help": _pair(
        "解码时只允许符合工具参数定义的写法；关闭则事后解析",
        "Only what fits the tool's schema can be written; off: calls are parsed afterwards",
    ),
    "tool_tokens": _pair("{tokens} 词元", "{tokens} tokens"),
    "effects_none": _pair("无副作用", "no effects"),
    "effects_read": _pair("读取", "reads"),
    "effects_write": _pair("写入", "writes"),
    "effects_network": _pair("联网", "network"),
    "examples_passed": _pair(":green[示例通过]", ":green[examples pass]"),
    "examples_failed": _pair(":red[示例失败]", ":red[examples fail]"),
    "examples_running": _pair("示例运行中", "examples running"),
    "permission": _pair("运行权限", "May it run?"),
    "permission_ask": _pair("先询问", "Ask first"),
    "permission_always": _pair("总是运行", "Always"),
    "permission_never": _pair("从不运行", "Never"),
    "tool_forbidden": _pair(
        ":material/public: 公开期间已关闭：会改动或联网",
        ":material/public: Off while this app is public: it changes or sends something",
    ),
    "tools_empty": _pair("还没有工具。", "There are no tools yet."),
    "tools_add": _pair(
        "把一个带类型注解的函数存为 tools/ 里的文件，它会自动出现在这里。",
        "Save a typed function as a file in tools/ and it shows up here.",
    ),
    "manual": _pair("自定义工具（手动返回结果）", "Your own definitions (you type the results)"),
    "manual_help": _pair(
        "YAML 或 JSON。调用它们时由你输入结果。",
        "YAML or JSON. When the model calls one, you type what it gives.",
    ),
    "manual_error": _pair("定义有误：{error}", "Not valid: {error}"),
    "call_unreadable": _pair("无法读取的调用（{name}）", "A call that cannot be read ({name})"),
    "call_writing": _pair("正在写调用…", "Writing a call…"),
    "call_running": _pair("运行中", "running"),
    "call_waiting": _pair("等待你的同意", "waiting for you"),
    "call_done": _pair("完成", "done"),
    "call_failed": _pair("失败", "failed"),
    "call_declined": _pair("已拒绝", "declined"),
    "call_stopped": _pair("已停止", "stopped"),
    "call_repeated": _pair("已答过，未再运行", "answered before, not run again"),
    "call_edited": _pair("参数由你修改", "with the arguments as you changed them"),
    "call_arguments": _pair("参数", "Arguments"),
    "call_result": _pair("结果", "Result"),
    "ask_run": _pair("允许运行 {name} 吗？", "Run {name}?"),
    "ask_result": _pair("{name} 应返回什么？", "What does {name} give?"),
    "ask_effects": _pair(
        "来自 {source}，作用：{effects}。可先修改参数。",
        "From {source}; effects: {effects}. You may change the arguments first.",
    ),
    "unsaid": _pair("不是你说的", "not said by you"),
    "run": _pair("运行", "Run"),
    "run_always": _pair("本对话总是运行", "Always in this conversation"),
    "decline": _pair("拒绝", "Decline"),
    "send_result": _pair("返回结果", "Give this result"),
    "result": _pair("结果", "Result"),
    "table_rows": _pair(
        "这是前 {shown} 行，共 {rows} 行", "These are the first {shown} of {rows} rows"
    ),
    "download_file": _pair("下载 {name}", "Download {name}"),
    "interpreter": _pair("代码解释器", "Interpreter"),
    "interpreter_welcome": _pair("需要算点什么？", "What shall we work out?"),
    "interpreter_hint": _pair(
        "模型写 Python，在隔离的沙箱里运行，读取结果再回答。可以上传文件。",
        "The model writes Python, runs it in a sandbox, and answers with the result. "
        "You can upload files.",
    ),
    "interpreter_suggestion_1": _pair("计算 1 到 100 的质数之和", "Add up the primes below 100"),
    "interpreter_suggestion_2": _pair("画出正弦和余弦曲线", "Plot a sine and a cosine"),
    "interpreter_suggestion_3": _pair("2028 年 2 月有几个周一？", "What weekday was 1 March 2000?"),
    "ask_code": _pair("输入问题，或拖入文件", "Ask anything, or drop files here"),
    "sandbox_preparing": _pair("正在准备运行代码的环境", "Getting Python ready"),
    "sandbox_preparing_hint": _pair(
        "首次使用需要几分钟：为代码建一个独立的 Python 环境。",
        "The first time takes some minutes: the code gets a Python of its own.",
    ),
    "sandbox_trying": _pair("正在检验隔离…", "Trying what confines the code here…"),
    "sandbox_set_up": _pair("{what}（{done}/{total}）", "{what} ({done} of {total})"),
    "sandbox_failed": _pair("这里还不能运行代码", "Code cannot be run here yet"),
    "sandbox_mend": _pair("在服务器上运行这条命令：", "Run this command on the server:"),
    "sandbox_weak_remote": _pair(
        "这台机器的隔离较弱，只允许从本机使用代码解释器。",
        "Isolation is weak on this machine, so the interpreter can only be used from itself.",
    ),
    "sandbox_weak": _pair(
        "隔离较弱：代码看得到这台机器上的其他进程。只运行你信任的代码。",
        "Weaker isolation: code can see this machine's other processes. Run only what you trust.",
    ),
    "sandbox_unsafe": _pair(
        "没有任何隔离：代码能读写、删除和发送你能访问的一切。只运行你信任的代码。",
        "Nothing isolates the code: it can read, change, delete and send whatever you can. "
        "Run only what you trust.",
    ),
    "doctor_unsafe": _pair(
        "不隔离也要运行，且只限本机：启动应用时加上 {option}。",
        "To run it all the same, not isolated and from this machine only: start the app with "
        "{option}.",
    ),
    "sandbox_level": _pair("{words}（{level} 级）", "{words} (level {level})"),
    "sandbox_promise": _pair(
        "代码没有网络，只看得到本对话的文件，内存、磁盘和时间都有上限。",
        "Code has no network, sees this conversation's files only, and is limited in memory, "
        "disk and time.",
    ),
    "doctor_tried": _pair(
        "{level} 级在这里不可靠：{reason}", "Level {level} does not hold here: {reason}"
    ),
    "doctor_mend": _pair(
        "代码解释器不会运行代码。修复办法：{command}",
        "The interpreter runs no code here. To mend it: {command}",
    ),
    "sandbox_why": _pair("更强的级别在这里不可用：", "Why no stronger level holds here:"),
    "sandbox_packages": _pair("可用的库", "Libraries"),
    "sandbox_weak_public": _pair(
        "这台机器的隔离较弱，公开期间不能使用代码解释器。",
        "Isolation is weak on this machine, so the interpreter is off while the app is public.",
    ),
    "try_again": _pair("重试", "Try again"),
    "use_tools": _pair("同时使用工具", "Use tools too"),
    "files": _pair("文件", "Files"),
    "upload": _pair("上传文件", "Upload files"),
    "files_empty": _pair("还没有文件。", "There are no files yet."),
    "files_more": _pair("还有 {count} 个文件", "{count} more files"),
    "download_all": _pair("全部下载（ZIP）", "Download all (ZIP)"),
    "delete_file": _pair("删除 {name}", "Delete {name}"),
    "no_preview": _pair("无法预览。", "There is no preview of it."),
    "variables": _pair("变量", "Variables"),
    "variables_none": _pair("没有变量，或代码正在运行。", "There are none, or code is running."),
    "variable_name": _pair("名称", "Name"),
    "variable_type": _pair("类型", "Type"),
    "variable_shape": _pair("形状", "Shape"),
    "variable_size": _pair("大小", "Size"),
    "python_ended": _pair(
        "Python 已结束：{why}。{lost}文件还在。“全部重新运行”可以恢复变量。",
        "Python has ended: {why}. {lost}Files are kept. Run all again brings the variables back.",
    ),
    "python_lost": _pair("丢失的变量：{names}。", "Variables lost: {names}. "),
    "run_all": _pair("全部重新运行", "Run all again"),
    "run_all_help": _pair(
        "重启 Python，按顺序运行所有代码", "Restarts Python and runs every block in order"
    ),
    "restart": _pair("重启 Python", "Restart"),
    "restart_help": _pair("变量会丢失，文件保留", "Variables are lost, files stay"),
    "export_notebook": _pair("导出 .ipynb", "Export .ipynb"),
    "import_notebook": _pair("导入 .ipynb", "Import .ipynb"),
    "code": _pair("代码", "Code"),
    "edit_code": _pair("修改并运行", "Edit and run"),
    "own_cell": _pair("运行自己的代码", "Run code of your own"),
    "cancel": _pair("取消", "Cancel"),
    "ran_at": _pair(
        "第 {run} 次运行 · {seconds:.1f} 秒 · {words}", "Run {run} · {seconds:.1f} s · {words}"
    ),
    "figure_of_run": _pair(
        "第 {run} 次运行的图 {number}，{width} × {height} 像素{title}",
        "Figure {number} of run {run}, {width} × {height} pixels{title}",
    ),
    "figure": _pair(
        "图 {number}，{width} × {height} 像素{title}",
        "Figure {number}, {width} × {height} pixels{title}",
    ),
    "figure_title": _pair("：{words}", ": {words}"),
    "table": _pair("{columns} 列 {rows} 行的表格", "A table of {columns} columns and {rows} rows"),
    "says_writing": _pair("正在写回答", "The answer is being written"),
    "says_call": _pair("{name}：{state}", "{name}: {state}"),
    "says_done": _pair("回答完毕", "The answer is complete"),
    "uploaded": _pair("随问题上传：{names}", "Uploaded with it: {names}"),
    "chart": _pair("{library} 图表", "{library} chart"),
    "stderr": _pair("错误输出", "Error stream"),
    "cli_ask": _pair("运行 {call} 吗？[y/N] ", "Run {call}? [y/N] "),
    "cli_hint": _pair(
        "输入 clear 清空对话，stop 退出。Ctrl-C 停止回答。",
        "Type clear to empty the conversation, stop to leave. Ctrl-C stops an answer.",
    ),
    "cli_cleared": _pair("对话已清空。", "The conversation is empty again."),
    "tools_none": _pair("没有可用的工具。", "There are no tools."),
    "tools_unknown": _pair(
        "没有名为 {name} 的工具。现有：{names}。",
        "There is no tool {name}. There are: {names}.",
    ),
    "tools_not_pair": _pair(
        "“{given}”不是 名称=值 的形式，例如 city_name=北京。",
        "{given!r} is not of the form name=value, such as city_name=Paris.",
    ),
    "tools_passed": _pair("示例通过：{count}", "examples passed: {count}"),
    "tools_failed": _pair("示例未通过", "examples failed"),
    "tools_untried": _pair("没有示例", "no examples"),
    "cli_user_added": _pair("已添加{access} {name}。", "Added {name}: {access}."),
    "cli_user_removed": _pair(
        "已删除 {name}，其登录、链接和密钥都已失效。",
        "Removed {name}; their sign-ins, links and keys have ended.",
    ),
    "cli_user_password_set": _pair(
        "{name} 的密码已更改，所有登录都已结束；密钥仍然有效。",
        "{name} has a new password and is signed out everywhere; their keys stay.",
    ),
    "cli_user_none": _pair(
        "还没有用户。添加第一位（管理者）：python -m assistant user add NAME",
        "There are no users. Add the first, the operator: python -m assistant user add NAME",
    ),
    "cli_user_with_password": _pair("有密码", "has a password"),
    "cli_user_without_password": _pair("无密码", "no password"),
    "cli_user_link": _pair(
        "接在网页地址之后打开；{minutes} 分钟内有效，只能用一次。",
        "Open it after the page's address, within {minutes} minutes; it works once.",
    ),
    "cli_password_new": _pair("新密码：", "New password: "),
    "cli_password_again": _pair("再输一次：", "Once more: "),
    "cli_key_made": _pair(
        "请现在保存：这个密钥不会再显示。", "Keep it now: this key is not shown again."
    ),
    "cli_key_none": _pair("还没有密钥。", "There are no keys."),
    "cli_key_revoked": _pair("密钥 {id} 已失效。", "Key {id} has ended."),
    "cli_key_never_used": _pair("从未使用", "never used"),
    "cli_key_used": _pair("上次使用 {time}", "last used {time}"),
    "cli_error": _pair("错误：{error}", "error: {error}"),
    "share_ask": _pair(
        "这里没有 cloudflared。从 {page} 下载 {name}（40 MB，校验 sha256）？[y/N] ",
        "cloudflared is not here. Fetch {name} from {page} (40 MB, checked by sha256)? [y/N] ",
    ),
    "share_fetching": _pair(
        "正在下载 cloudflared：{done} / {total} 字节",
        "Fetching cloudflared: {done} of {total} bytes",
    ),
    "share_joined": _pair(
        "应用已在端口 {port} 上运行，直接使用它。", "The app runs on port {port} already: joined."
    ),
    "share_starting": _pair("正在端口 {port} 上启动应用…", "Starting the app on port {port}…"),
    "share_opening": _pair("正在打开隧道…", "Opening the tunnel…"),
    "share_url": _pair("公开地址：{url}", "Public address: {url}"),
    "share_link": _pair(
        "{name} 的登录链接（10 分钟内可用一次，不要给别人）：",
        "Sign-in link for {name} (once, within 10 minutes; keep it to yourself):",
    ),
    "share_until": _pair(
        "公开到 {until}，按 Ctrl-C 可提前结束。", "Public until {until}; Ctrl-C ends it sooner."
    ),
    "share_allowed": _pair("已放开的风险：{risks}", "Allowed, at your risk: {risks}"),
    "share_broken": _pair(
        "隧道断了：{error} {seconds:.0f} 秒后重试。",
        "The tunnel broke: {error} Trying again in {seconds:.0f} s.",
    ),
    "share_ending": _pair("正在结束（{reason}）…", "Ending ({reason})…"),
    "share_ended": _pair("已不再公开。", "Not public any more."),
    "share_time_up": _pair("时间到了", "the time is over"),
    "share_page_asked": _pair("页面上要求停止", "asked on the page"),
    "share_interrupted": _pair("Ctrl-C", "Ctrl-C"),
    "share_told": _pair("系统要求结束", "told to end"),
    "share_orphaned": _pair("启动它的进程已结束", "its parent process has gone"),
    "check_users": _pair("有能登录的管理者", "There is an operator who can sign in"),
    "mend_users": _pair(
        "添加用户：python -m assistant user add NAME",
        "Add a user: python -m assistant user add NAME",
    ),
    "check_files": _pair("用户文件只有本人可读", "Only their owner can read the files of users"),
    "mend_files": _pair(
        "收紧权限：chmod 600 access.db*，主文件夹不可由他人写入",
        "Tighten them: chmod 600 access.db*, and let nobody else write to the home",
    ),
    "check_statistics": _pair("不发送使用统计", "No usage statistics are sent"),
    "mend_statistics": _pair(
        "在 .streamlit/config.toml 的 [browser] 中设 gatherUsageStats = false",
        "Set gatherUsageStats = false under [browser] in .streamlit/config.toml",
    ),
    "check_sharing": _pair("公开的地址和时间", "Public at, since and until"),
    "check_risky_tools": _pair(
        "会改动或联网的工具已关闭", "Tools that change or send something are off"
    ),
    "mend_risky_tools": _pair(
        "重新运行 share，不加 --allow risky-tools",
        "Run share again without --allow risky-tools",
    ),
    "check_operator_pages": _pair("管理者的设置已关闭", "The operator's settings are off"),
    "mend_operator_pages": _pair(
        "重新运行 share，不加 --allow operator-pages",
        "Run share again without --allow operator-pages",
    ),
    "check_unsafe_interpreter": _pair(
        "未隔离的解释器已关闭", "The interpreter without isolation is off"
    ),
    "mend_unsafe_interpreter": _pair(
        "重新运行 share，不加 --allow unsafe-interpreter",
        "Run share again without --allow unsafe-interpreter",
    ),
    "check_outside": _pair("从公开地址看，要求登录", "By the public address, sign-in is asked for"),
    "mend_outside": _pair(
        "立即结束 share：那个地址后面不是登录页",
        "End share at once: what is behind that address is not the sign-in",
    ),
    "check_answers": _pair("应用在端口上应答", "The app answers on its port"),
    "mend_answers": _pair(
        "启动应用，或用 --port 指定它的端口", "Start the app, or say its port by --port"
    ),
    "check_page": _pair("页面要求登录", "Pages ask for a sign-in"),
    "check_upload": _pair("上传要求登录", "Uploads ask for a sign-in"),
    "check_media": _pair("媒体文件要求登录", "Media files ask for a sign-in"),
    "check_static": _pair("静态文件要求登录", "Static files ask for a sign-in"),
    "check_metrics": _pair("指标要求登录", "Metrics ask for a sign-in"),
    "check_api": _pair("/v1 要求密钥", "/v1 asks for a key"),
    "check_socket": _pair("WebSocket 要求登录", "WebSockets ask for a sign-in"),
    "check_forged": _pair("伪造的 Cookie 被拒绝", "A forged cookie is refused"),
    "check_health": _pair("/health 只告诉陌生人一个词", "/health tells strangers one word"),
    "check_host": _pair("别的主机名被拒绝", "Another host name is refused"),
    "check_headers": _pair("登录页带有安全响应头", "The sign-in page has its security headers"),
    "check_cookie": _pair(
        "会话 Cookie：HttpOnly、Secure、SameSite、有期限",
        "The session cookie: HttpOnly, Secure, SameSite, an expiry",
    ),
    "check_link_once": _pair("登录链接只能用一次", "A sign-in link works once"),
    "check_origin": _pair("别的网站打不开 WebSocket", "Another site cannot open a WebSocket"),
    "check_cross_site": _pair("别的网站不能代为提交", "Another site cannot act for a visitor"),
    "check_sign_out": _pair(
        "退出后，留下的 Cookie 无用",
        "After signing out, a kept cookie is worth nothing",
    ),
    "check_comes_in": _pair("管理者可用一次性链接登录", "An operator comes in by a one-time link"),
    "mend_comes_in": _pair(
        "应用用的是另一个 ASSISTANT_HOME，或没有登录页：用同样的环境启动它",
        "The app has another ASSISTANT_HOME, or no sign-in: start it with the same environment",
    ),
    "check_sandbox": _pair(
        "代码的隔离级别足够，否则公开时关闭", "Code is isolated well enough, or off in public"
    ),
    "mend_sandbox": _pair(
        "重新运行 share，不加 --allow unsafe-interpreter；python -m assistant doctor 说明如何隔离",
        "Run share again without --allow unsafe-interpreter; python -m assistant doctor says how "
        "to isolate",
    ),
    "mend_door": _pair(
        "立即结束 share：不登录就能进入。是否有另一个程序占用端口，或应用是旧版本？",
        "End share at once: this opens without a sign-in. Has another program the port, or is the "
        "app an old one?",
    ),
    "mend_gate": _pair(
        "重新启动应用：它的门不完整，可能是旧版本",
        "Start the app anew: its gate is not whole; it may be an old version",
    ),
    "stranger_sign_in": _pair(
        "陌生人打开这个地址，只看到登录页。",
        "A stranger with the address sees the sign-in page, and nothing else.",
    ),
    "stranger_more": _pair(
        "陌生人不登录就能看到上面打叉的内容！",
        "A stranger sees what has a cross above, without a sign-in!",
    ),
    "stranger_nothing": _pair(
        "陌生人什么也看不到：没有应用在应答。", "A stranger sees nothing: no app answers."
    ),
    "checks_ok": _pair("没有一项失败。", "No check failed."),
    "checks_failed": _pair("{n} 项失败。", "{n} failed."),
    "signin": _pair("登录", "Sign in"),
    "signin_name": _pair("用户名", "User name"),
    "signin_password": _pair("密码", "Password"),
    "signin_stale": _pair(
        "这个表单已过期，或浏览器没有接受 cookie。请再试一次。",
        "This form is too old, or the browser took no cookie. Try again.",
    ),
    "signin_first": _pair("请先登录：重新加载此页面即可。", "Sign in first: load this page again."),
    "signin_nobody": _pair(
        "还没有用户，因此无法登录。请在运行助手的机器上执行：python -m assistant user add NAME",
        "There is no user yet, so nobody can sign in. On the machine that runs the assistant: "
        "python -m assistant user add NAME",
    ),
    "signin_oidc": _pair("用 {host} 登录", "Sign in with {host}"),
    "signin_oidc_down": _pair(
        "登录服务没有应答。请稍后再试，或用别的方式登录。",
        "The sign-in service does not answer. Try again later, or sign in another way.",
    ),
    "signin_oidc_stale": _pair(
        "这次登录不是从这个浏览器开始的，或者已经过期。请再试一次。",
        "This sign-in was not begun in this browser, or is too old. Try again.",
    ),
    "signin_oidc_refused": _pair(
        "登录服务没有确认你是谁。请再试一次。",
        "The sign-in service did not confirm who you are. Try again.",
    ),
    "signin_oidc_unknown": _pair(
        "这里没有使用你的邮箱地址的用户。请管理员添加："
        "python -m assistant user add 邮箱 --no-password",
        "No user here has your mail address. An operator can add it: "
        "python -m assistant user add MAIL --no-password",
    ),
    "signin_link": _pair("用一次性链接登录", "Sign in by a one-time link"),
    "signin_link_hint": _pair(
        "点击按钮后，这个链接就用掉了。", "The link is used up once you press the button."
    ),
    "signin_link_bad": _pair(
        "这个链接已经用过或已过期。请重新要一个，或用密码登录。",
        "This link was used already, or is too old. Ask for another, or sign in with a password.",
    ),
    "signout": _pair("退出登录", "Sign out"),
    "account": _pair("帐户", "Account"),
    "account_local": _pair(
        "在这台机器上使用助手不需要登录。", "At this machine no sign-in is needed."
    ),
    "account_elsewhere": _pair(
        "你是由前面的代理登录的，请在那里退出。",
        "You were signed in by the proxy in front of the assistant; sign out there.",
    ),
    "account_back": _pair("回到助手", "Back to the assistant"),
    "access_operator": _pair("管理者", "operator"),
    "access_user": _pair("用户", "user"),
    "keys": _pair("API 密钥", "API keys"),
    "keys_hint": _pair(
        "程序用它访问 /v1：Authorization: Bearer sk-…",
        "Programs come in at /v1 with one: Authorization: Bearer sk-…",
    ),
    "key_label": _pair("用途", "What it is for"),
    "key_make": _pair("新建密钥", "Make a key"),
    "key_revoke": _pair("吊销", "Revoke"),
    "key_revoke_which": _pair("吊销 {name}", "Revoke {name}"),
    "key_made": _pair(
        "新的密钥。只显示这一次，请现在保存：", "The new key. It is shown only now; keep it:"
    ),
    "keys_full": _pair("密钥太多，请先吊销一些。", "Too many keys. Revoke some first."),
}

CHINESE_ERRORS: dict[str, str] = {
    "BadModelFile": "{path}：{where}：发现 {found}，应为 {expected}。",
    "UnsupportedModel": "{path}：不支持 {what}“{found}”；支持：{supported}。",
    "NotEnoughMemory": "{path} 需要 {need} 内存，这台机器可用 {have}。更小的选择：{smaller}。",
    "PromptTooLong": (
        "提示有 {prompt_tokens} 个词元，上下文只容纳 {context_length} 个，"
        "其中至少要留一个给回答。请缩短提示，或调大上下文长度。"
    ),
    "BadSetting": "{name} 的值 {value!r} 不合要求：{rule}。",
    "DownloadFailed": (
        "无法获取 {what}：{reason}。已尝试：{tried}。请在有网络时再启动，"
        "或给出一个模型文件：MODEL=/路径/模型.gguf streamlit run streamlit_app.py"
    ),
    "BadLogits": "模型算出了 {count} 个不是数的值，模型文件可能已损坏。",
    "NothingAllowed": (
        "已生成 {count} 个词元，而按这次回答的规则，后面一个词元都不能再用。"
        "请重新提问，或关闭这项约束。"
    ),
    "ConstraintFailed": (
        "这次回答的规则出错（{kind}），详情见服务器日志。请重新提问，或关闭这项约束。"
    ),
    "CacheNotWritable": (
        "无法写入 {path}：{reason}。请使它可写，或把 ASSISTANT_HOME 设为可写的文件夹。"
    ),
    "DiskFull": "{path} 放不下：需要 {need}，剩余 {have}。请腾出空间后再启动。",
    "EngineClosed": "引擎已关闭，请重新加载模型。",
    "UnknownFormat": "{path} 里没有已知的角色词元：{missing}。支持的对话格式：{supported}。",
    "CallsNotTaught": (
        "{format} 模型没有学过调用工具或运行代码，只能对话。请打开 ChatGLM3、GLM-4 或 Qwen 模型。"
    ),
    "ModelNotFound": "{path} 没有模型文件。请给出一个 .gguf 或 .bin 文件的路径。",
    "ModelNotReady": "模型还没有加载好，请稍后再问。",
    "UnknownConversation": (
        "这个地址上的对话已不存在：服务器重启过，而对话只保存在内存里。这是一个新的对话。"
    ),
    "AnswerRunning": "回答还在生成。请先停止，或等它结束。",
    "NothingToRepeat": "这个对话里没有可以重新生成或继续的回答。",
    "EmptyQuestion": "问题是空的，请先输入内容。",
    "NoCode": "没有可以运行的代码。",
    "NothingAsked": "这个问题已经回答过了，或者回答已被停止。",
    "BadArguments": "工具不接受这些参数：{reason}。",
    "ToolNotImported": "导入失败：{reason}",
    "ToolFileWrong": "文件有误：{reason}",
    "ToolNameReserved": "工具 {name} 与模型和 Python 用的词同名，请改名",
    "ToolNameTaken": "工具 {name} 在 {others} 里也有定义，请给其中一个改名",
    "ToolOfferedTwice": "另一个来源也提供工具 {name}",
    "SettingsUnreadable": "无法读取 {path}：{reason}",
    "ServerLost": "服务器没有连上：{reason}",
    "ServerToolRefused": "不提供工具 {name}：{reason}",
    "ServerToolsTooMany": "工具超过 {limit} 个，只提供前 {limit} 个",
    "ServerToolMissing": "“effects”里写了 {name}，而服务器没有这个工具",
    "ServerToolTaken": "不提供 {name}：另一个服务器有同名的工具",
    "NoToken": (
        "上传需要有写权限的令牌。请在 {hub}/settings/tokens 创建，"
        "然后设置 HF_TOKEN 或运行 `hf auth login`。"
    ),
    "TokenUnknown": (
        "{hub} 不认识这个令牌：可能写错了或已过期。请在 {hub}/settings/tokens 创建有写权限的令牌，"
        "然后设置 HF_TOKEN 或运行 `hf auth login`。"
    ),
    "TokenCannotWrite": (
        "这个令牌不能写入 {repo}：它是只读的，或者仓库不属于你。"
        "请在 {hub}/settings/tokens 创建有写权限的令牌，或换一个自己的仓库。"
    ),
    "UploadFailed": "文件没有传到 {repo}：{reason}。请再次运行同一命令。",
    "BadDocument": "{name} 第 {line} 行，{where}：发现 {found}，应为 {expected}。",
    "SandboxFailed": "无法建立 {level} 级沙箱：{reason}。",
    "SandboxRefused": "这里不运行代码，因为没有足够可靠的隔离（{tried}）。修复办法：{command}",
    "SandboxWeaker": (
        "这里的隔离变弱了：原来是 {before} 级，现在是 {level} 级。没有运行任何代码，变量已丢失。"
        "之后的代码将在 {level} 级下运行。"
    ),
    "CodeNotPublic": (
        "这里不运行来自别处的代码：这台机器的隔离是 {level} 级，而那需要 1、1c、2 或 2s 级。"
        "分享时可用 `--allow unsafe-interpreter` 允许。"
    ),
    "EnvironmentFailed": (
        "运行代码的 Python 环境没有建好：{what}：{reason}。已完成的部分会保留，请重试。"
    ),
    "BadFileName": "这里的文件不能叫 {name!r}。请改名后再上传。",
    "NoSuchFile": "这个对话的文件夹里没有普通文件 {name!r}。",
    "FileTooLarge": "{name} 有 {size}，这里的文件最多 {limit}。",
    "FolderFull": (
        "放不下 {name}：这个对话的文件夹最多容纳 {files} 个文件、共 {limit}。请先删除一些。"
    ),
    "BadNotebook": "无法读取这个笔记本：{reason}。",
    "BadUserName": (
        "用户名不能是 {name!r}。须以小写字母 a-z 或数字开头，"
        "最多 64 个字符，只含字母、数字和 . _ @ + -。"
    ),
    "UserExists": (
        "已经有用户 {name}。要换密码，请运行 `python -m assistant user passwd {name}`。"
    ),
    "UnknownUser": "没有用户 {name!r}。`python -m assistant user list` 列出现有用户。",
    "LastOperator": (
        "{name} 是唯一的管理者，而还有其他用户。请先添加另一位管理者："
        "`python -m assistant user add NAME --operator`。"
    ),
    "PasswordTooShort": "密码太短：至少要有 {least} 个字符。",
    "PasswordTooLong": "密码太长：按 UTF-8 最多 {most} 字节。",
    "PasswordsDiffer": "两次输入的密码不一样，什么都没有改动。",
    "PasswordUnread": "没有读到密码。请在终端里输入，或通过管道传入一行 UTF-8 文本。",
    "WrongPassword": "用户名或密码不对。",
    "TooManyAttempts": "登录尝试过多，请在 {seconds} 秒后再试。",
    "UnknownKey": "没有密钥 {id!r}。`python -m assistant key list` 列出现有密钥。",
    "BadAccessSetting": "{name} 的设置不对：发现 {found}，应为 {expected}。",
    "AccessFileDamaged": (
        "保存用户和密钥的 {path} 已损坏：{reason}。现在谁也不能进入。"
        "请放回备份，或把它和它的 -wal、-shm 文件移走，再重新添加用户。"
    ),
    "AccessFileForeign": (
        "{path} 不是本程序保存用户和密钥的文件，已原样保留。请把它移走，需要时重新添加用户。"
    ),
    "AccessFileNewer": (
        "{path} 由更新的版本写成（格式 {found}，此版本只认识到 {known}）。"
        "请使用那个版本，或把文件移走后重新添加用户。"
    ),
    "AccessFileReplaced": "{path} 在使用中被删除或替换。重新启动本程序之前，谁也不能进入。",
    "AccessFileUnusable": (
        "保存用户和密钥的 {path} 无法使用：{reason}。它须可由此用户读写，磁盘须有空间；"
        "如果只是忙，请再试一次。"
    ),
    "NobodyToShareWith": (
        "还没有用户，谁也无法登录。请先添加自己：`python -m assistant user add NAME`。"
    ),
    "AlreadyShared": "助手已经由进程 {pid} 公开。请先结束那个进程，或在页面上停止公开。",
    "NoCloudflared": (
        "这里没有建立隧道用的 cloudflared。请安装它，"
        "或加上 --yes 再运行，从 {page} 下载 {version} 版。"
    ),
    "NoCloudflaredRelease": (
        "没有适合 {system} {machine} 的 cloudflared 可以下载。"
        "请自行安装，使 `cloudflared` 在 PATH 中。"
    ),
    "CloudflaredNotFetched": (
        "cloudflared 下载失败：{url}：{reason}。没有保留任何文件。"
        "请重试，或自行安装，使 `cloudflared` 在 PATH 中。"
    ),
    "CloudflaredWrong": (
        "收到的 {name} 与发布的文件不同，已删除：sha256 为 {found}，应为 {expected}。"
        "途中可能有设备篡改文件；请自行安装 cloudflared。"
    ),
    "CloudflaredNotKept": "cloudflared 无法保存到 {path}：{reason}。",
    "PortTaken": (
        "端口 {port} 已被占用，应答的不是本应用。请用 --port 指定应用的端口，或一个空闲端口。"
    ),
    "AppNotStarted": "应用没有启动：{reason}。详情见 {log}。",
    "AppEnded": "端口 {port} 上的应用已经结束，所以不再公开。请重新运行。",
    "GateNotShut": (
        "端口 {port} 上的应用不登录就能进入，所以没有公开。"
        "它是旧版本，或用了另一个 ASSISTANT_HOME。请结束它再试。"
    ),
    "TunnelRateLimited": (
        "Cloudflare 暂时不再为这个地址建立快速隧道（429）。"
        "请等几分钟，或使用自己的隧道：--token 和 --hostname。"
    ),
    "TunnelRefused": "Cloudflare 不接受这个隧道令牌。请从控制台重新复制。",
    "TunnelUnreachable": (
        "cloudflared 连不上 Cloudflare：{reason}。"
        "它需要 DNS，以及对外的 TCP 443 和 TCP 或 UDP 7844。"
    ),
    "TunnelEnded": "cloudflared 自己结束了（退出码 {code}）：{reason}",
    "TunnelSlow": "隧道在 {seconds:.0f} 秒后仍未接通。",
    "NobodyCanSignIn": (
        "不在 {address} 上提供服务：还没有人能登录。请先执行 python -m assistant user add NAME，"
        "或设置 OpenID Connect 或可信代理；只在本机使用则不用登录：--server.address 127.0.0.1"
    ),
    "InternalError": "内部出错（{kind}），详情见服务器日志。",
}
