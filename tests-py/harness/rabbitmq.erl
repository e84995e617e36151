%% Evaluated inside a private RabbitMQ (see rabbitmq.py), before it boots and again, as its last step, afterwards.
%%
%% Before: all modules are loaded in one go, which takes a second, where one by one takes five.
%% Afterwards: expressions are taken from a Unix socket, and the answer is text; and when nobody is left who holds
%% the broker's standard input, the broker ends.

Apps = fun With(App, Known) ->
    case lists:member(App, Known) of
        true ->
            Known;
        false ->
            _ = application:load(App),
            {ok, Needed} = application:get_key(App, applications),
            lists:foldl(With, [App | Known], Needed)
    end
end,

Load = fun() ->
    Modules = [Module || App <- Apps(rabbit, []), {ok, Own} <- [application:get_key(App, modules)], Module <- Own],
    code:ensure_modules_loaded([Module || Module <- Modules, not erlang:module_loaded(Module)])
end,

Evaluate = fun(Text) ->
    try
        {ok, Tokens, _} = erl_scan:string(unicode:characters_to_list(Text) ++ "."),
        {ok, Parsed} = erl_parse:parse_exprs(Tokens),
        case erl_eval:exprs(Parsed, []) of
            {value, Answer, _} when is_binary(Answer) -> [$+, Answer];
            {value, Answer, _} -> [$+, unicode:characters_to_binary(io_lib:format("~0tp", [Answer]))]
        end
    catch
        Class:Reason -> [$-, unicode:characters_to_binary(io_lib:format("~tp: ~0tp", [Class, Reason]))]
    end
end,

Answer = fun Answer(Stream) ->
    case gen_tcp:recv(Stream, 0) of
        {ok, Text} ->
            ok = gen_tcp:send(Stream, Evaluate(Text)),
            Answer(Stream);
        {error, _} ->
            gen_tcp:close(Stream)
    end
end,

Accept = fun Accept(Listener) ->
    {ok, Stream} = gen_tcp:accept(Listener),
    gen_tcp:controlling_process(Stream, spawn(fun() -> Answer(Stream) end)),
    Accept(Listener)
end,

Serve = fun() ->
    ok = rabbit:await_startup(),
    %% It starts an epmd that stays, a minute later.
    [
        supervisor:terminate_child(rabbit_sup, Id)
     || {Id, _, _, _} <- supervisor:which_children(rabbit_sup), lists:prefix("rabbit_epmd", atom_to_list(Id))
    ],
    {ok, Folder} = file:get_cwd(),
    Path = filename:join(Folder, "control"),
    _ = file:delete(Path),
    Me = self(),
    spawn(fun() ->
        {ok, Listener} = gen_tcp:listen(0, [binary, {packet, 4}, {active, false}, {ifaddr, {local, Path}}]),
        Me ! listening,
        Accept(Listener)
    end),
    receive
        listening -> io:format("~nthe private broker is ready~n")
    end,
    spawn(fun() ->
        eof = io:get_line(''),
        erlang:halt(0, [{flush, false}])
    end)
end,

case whereis(rabbit_prelaunch_sup) of
    undefined -> Load();
    _ -> Serve()
end.
