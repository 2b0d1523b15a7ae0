select a.id, a.tool_id, a.key, a.kind, a.status = 'ativo' and tool.status = 'ativo'
from nebula.tool_action a
join nebula.tool on tool.id = a.tool_id
